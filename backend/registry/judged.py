"""Which batches the rules have seen: kept for as long as a batch could still come again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.rule_tables import JudgedBatch

KEPT: Final = timedelta(days=32)
"""Ingest refuses readings older than 30 days, so that none that is forgotten here is judged twice."""


async def forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Remove what is past `KEPT`."""
    await session.execute(delete(JudgedBatch).where(JudgedBatch.judged_at < now - KEPT))
