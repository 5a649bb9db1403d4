"""Lists as one parameter, which the database unfolds into rows: none is too long, and one statement fits them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, BindParameter, ColumnElement, Select, Subquery, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession


def listed(session: AsyncSession, values: Sequence[str]) -> Select[Any]:
    """The values, for `in_`."""
    given = bindparam(None, [[value] for value in values], type_=JSON, unique=True)
    return select(unfolded(session.get_bind().dialect.name, given, ("value",)).c.value)


def unfolded(dialect: str, given: BindParameter[Any], names: Sequence[str]) -> Subquery:
    """The rows of a parameter, each a list of texts, as a table with these columns."""
    if dialect == "sqlite":
        rows = func.json_each(given).table_valued("value")
        parts: list[ColumnElement[str]] = [
            func.json_extract(rows.c.value, f"$[{place}]") for place in range(len(names))
        ]
    else:
        rows = func.json_array_elements(given).table_valued("value")
        parts = [rows.c.value.op("->>")(place) for place in range(len(names))]
    return select(*(part.label(name) for part, name in zip(parts, names, strict=True))).subquery()
