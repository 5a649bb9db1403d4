"""Rows of which others may write the same at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.base import Base


async def insert_missing(session: AsyncSession, table: type[Base], row: dict[str, Any]) -> None:
    """Write a row unless there is one with its primary key."""
    await session.execute(_dialect(session).insert(table).on_conflict_do_nothing(), row)


async def upsert(session: AsyncSession, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, each with all its columns, over those that have their primary key."""
    statement = _dialect(session).insert(table)
    keys = [column.name for column in inspect(table).primary_key]
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    await session.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)


def _dialect(session: AsyncSession) -> Any:
    return sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
