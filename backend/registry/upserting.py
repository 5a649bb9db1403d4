"""Many rows at once, new ones and changed ones alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.tables import Base


async def upsert(session: AsyncSession, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, each with all its columns, over those that have their primary key."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    keys = [column.name for column in inspect(table).primary_key]
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    await session.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)
