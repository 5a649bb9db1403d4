"""How often a transaction asks SQLite's thread, and that it is a transaction still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backend.registry.database import Database
from backend.registry.sqlite_thread import Connection


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went to the threads of all connections."""
    made: list[str] = []
    ask = Connection._execute

    async def noted(self: Connection, work: Any, *arguments: Any, **settings: Any) -> Any:
        made.append(work.__name__)
        return await ask(self, work, *arguments, **settings)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(Connection, "_execute", noted)
    return made


async def test_a_statement_with_its_rows_is_one_trip_and_so_is_the_commit(database: Database, trips: list[str]) -> None:
    async with database.begin() as session:
        await session.execute(text("SELECT 1"))  # the connection is made
    trips.clear()
    async with database.begin() as session:
        assert (await session.execute(text("SELECT 1 UNION SELECT 2"))).all() == [(1,), (2,)]
    assert trips == ["_run", "commit"]


async def test_a_transaction_that_asks_nothing_makes_no_trip(database: Database, trips: list[str]) -> None:
    for _ in range(2):
        trips.clear()
        async with database.begin() as session:
            await session.connection()
    assert trips == []


async def test_a_failed_statement_undoes_those_before_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'own.db'}")
    async with database.begin() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER PRIMARY KEY)"))

    async def twice() -> None:
        async with database.begin() as session:
            for _ in range(2):
                await session.execute(text("INSERT INTO t VALUES (1)"))

    with pytest.raises(IntegrityError):
        await twice()
    async with database.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
    await database.close()
