"""From each revision up with data in: every row of every table comes through, and the program can read it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

import backend.registry.migrations
from backend.registry.base import Base
from backend.registry.database import Database, alembic_config
from backend.registry.sealed import Sealed
from tests.backend.registry import databases

SEALED_SINCE = {"members": "0003", "feedback.text": "0014", "requests.details": "0014", "requests.answer": "0014"}
"""Table or column → the revision that sealed it; the others always were."""
PLAIN = {"email": "somebody@farm.example", "phone": "+14155550123"}
USUAL = {"channel": "email", "kind": "warnings", "role": "owner"}
"""What revisions look into."""


def revisions() -> list[str]:
    """Oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(backend.registry.migrations.__file__).parent))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def value(column: sa.Column[Any], revision: str) -> Any:
    """Something for a column, as a program of that revision would have written it."""
    now = Base.metadata.tables.get(column.table.name)
    kind = now.c[column.name].type if now is not None and column.name in now.c else None
    if isinstance(kind, Sealed):
        plain = PLAIN.get(column.name, "sentinel")
        since = SEALED_SINCE.get(column.table.name, SEALED_SINCE.get(f"{column.table.name}.{column.name}", ""))
        return databases.KEYS.seal(plain, kind.purpose) if revision >= since else plain
    match column.type:
        case sa.DateTime():
            return datetime(2026, 1, 1, tzinfo=UTC)
        case sa.JSON():
            return {}
        case sa.Boolean():
            return True
        case sa.Float() | sa.Numeric():
            return 1.5
        case sa.Integer():
            return 1
        case sa.LargeBinary():
            return b"sentinel"
        case sa.String(length=length):
            if (column.table.name, column.name) == ("members", "id"):
                return "mem_sentinel"
            return (PLAIN | USUAL).get(column.name, f"sentinel-{column.name}")[: length or 100]
    raise AssertionError(f"{column}: say here what such a column may hold")


def fill(connection: sa.Connection, revision: str) -> dict[str, int]:
    """One row in each table that has none; how many each has."""
    found = sa.MetaData()
    found.reflect(connection)
    rows: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for table in found.sorted_tables:
        if table.name == "alembic_version":
            continue
        if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0:
            row = {c.name: value(c, revision) for c in table.c}
            for key in table.foreign_keys:
                row[key.parent.name] = rows.get(key.column.table.name, {}).get(key.column.name)
            connection.execute(table.insert(), [row])
        rows[table.name] = dict(connection.execute(sa.select(table).limit(1)).mappings().one())
        counts[table.name] = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return counts


@pytest.mark.parametrize("revision", revisions())
@pytest.mark.parametrize("kind", databases.KINDS)
async def test_every_row_of_every_table_comes_through_to_the_newest_revision(
    kind: str, revision: str, tmp_path: Path
) -> None:
    registry = databases.new(kind, tmp_path)
    await registry.alter(lambda connection: command.upgrade(alembic_config(connection), revision))
    before: dict[str, int] = {}
    await registry.alter(lambda connection: before.update(fill(connection, revision)))
    assert "accounts" in before
    await registry.migrate()
    after = await read(registry)
    await registry.close()
    assert {name: after.get(name) for name in before} == before


async def read(registry: Database) -> dict[str, int]:
    """The number of rows of each table, each of them read as the program reads it: sealed columns are opened."""
    found = {}
    async with registry.read() as session:
        for mapper in Base.registry.mappers:
            rows = (await session.scalars(sa.select(mapper.class_))).all()
            found[mapper.local_table.name] = len(rows)  # type: ignore[attr-defined]
    return found
