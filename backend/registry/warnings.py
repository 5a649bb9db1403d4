"""Warnings as they are read: what fires now and what did. The rules' engine writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.registry.warning_tables import Warning

Which = Literal["active", "resolved", "all"]


async def listed(
    session: AsyncSession,
    account: AccountId,
    *,
    which: Which = "active",
    site: SiteId | None = None,
    machine: MachineId | None = None,
    since: datetime | None = None,
    limit: int = 1_000,
) -> Sequence[Warning]:
    """The account's warnings, newest first; `since`: those that fired or resolved at or after it."""
    query = select(Warning).where(Warning.account_id == account)
    if which == "active":
        query = query.where(Warning.resolved_at.is_(None))
    elif which == "resolved":
        query = query.where(Warning.resolved_at.is_not(None))
    if site is not None:
        query = query.where(Warning.site_id == site)
    if machine is not None:
        query = query.where(Warning.machine == machine)
    if since is not None:
        query = query.where((Warning.started_at >= since) | (Warning.resolved_at >= since))
    return (await session.scalars(query.order_by(Warning.started_at.desc(), Warning.id).limit(limit))).all()
