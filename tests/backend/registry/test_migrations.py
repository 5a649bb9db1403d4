"""The revisions make the tables that the code works with, and take them away again."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

import backend
from backend.registry.base import Base
from backend.registry.database import NEWEST, Database, alembic_config


async def tables(database: Database) -> set[str]:
    found: set[str] = set()
    await database.alter(lambda connection: found.update(inspect(connection).get_table_names()))
    return found


async def test_the_revisions_and_the_tables_say_the_same(database: Database) -> None:
    differences: list[Any] = []

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences.extend(compare_metadata(context, Base.metadata))

    await database.alter(compare)
    assert differences == []


async def test_an_empty_database_goes_all_the_way_up_and_down(database: Database) -> None:
    assert await tables(database) == {*Base.metadata.tables, "alembic_version"}
    await database.alter(lambda connection: command.downgrade(alembic_config(connection), "base"))
    assert await tables(database) == {"alembic_version"}
    await database.migrate()
    assert await tables(database) == {*Base.metadata.tables, "alembic_version"}


async def test_each_revision_follows_one_other_and_the_last_one_is_known_without_alembic(database: Database) -> None:
    heads: list[str] = []
    await database.alter(
        lambda connection: heads.extend(ScriptDirectory.from_config(alembic_config(connection)).get_heads())
    )
    assert heads == [NEWEST]


def test_the_next_revision_is_written_from_what_changed_in_the_tables(tmp_path: Path) -> None:
    shutil.copytree(Path(backend.__file__).parent, tmp_path / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    tables = tmp_path / "backend" / "registry" / "site_tables.py"
    tables.write_text(tables.read_text() + '\n\nclass New(Base):\n    __tablename__ = "sentinel"\n')
    with tables.open("a") as more:
        more.write("    id: Mapped[str] = mapped_column(primary_key=True)\n    at: Mapped[datetime]\n")
    subprocess.run(
        [sys.executable, "-m", "backend.registry.migrations", "Add a sentinel"], cwd=tmp_path, check=True, timeout=60
    )
    versions = sorted((tmp_path / "backend" / "registry" / "migrations" / "versions").glob("*.py"))
    text = versions[-1].read_text()
    assert versions[-1].name == f"{int(versions[-2].name[:4]) + 1:04}_add_a_sentinel.py"
    assert "'sentinel'" in text
    assert "sa.DateTime(timezone=True)" in text
    assert "import backend" not in text


async def test_two_backends_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    both = [Database(f"sqlite:///{tmp_path / 'new.db'}") for _ in range(2)]
    await asyncio.gather(*(one.migrate() for one in both))
    for one in both:
        await one.check()
        await one.close()
