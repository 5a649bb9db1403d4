"""Rows of which others may write the same at the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.base import Base


async def insert_missing(session: AsyncSession, table: type[Base], row: dict[str, Any]) -> bool:
    """Write a row unless there is one with its primary key; whether it was written."""
    connection = await session.connection()
    return (await connection.execute(_insert_missing(table, connection.dialect.name), row)).first() is not None


async def upsert(session: AsyncSession, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, each with all its columns, over those that have their primary key."""
    connection = await session.connection()
    await connection.execute(_upsert(table, connection.dialect.name), rows)


# Made once: to put a statement together costs more than to run it.


@cache
def _insert_missing(table: type[Base], dialect: str) -> Any:
    return _INSERTS[dialect](table.__table__).on_conflict_do_nothing().returning(literal(1))


@cache
def _upsert(table: type[Base], dialect: str) -> Any:
    statement = _INSERTS[dialect](table.__table__)
    keys = [column.name for column in table.__table__.primary_key]
    others = {column.name: statement.excluded[column.name] for column in table.__table__.c if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


_INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
