"""Transactions: all or nothing, writers in turn, readers beside them."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.account_tables import Account
from backend.registry.database import Database
from backend.registry.site_tables import Site
from tests.backend.readings import NOW
from tests.backend.registry.databases import new


def account(name: str) -> Account:
    return Account(id=f"acc_{name}", name=name, region="eu", created_at=NOW)


async def count(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(Account)) or 0


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.begin() as session:
            session.add(account("a"))
            await session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await count(database) == 0


async def test_what_ended_well_is_there_for_another_process(database: Database, tmp_path: Path) -> None:
    async with database.begin() as session:
        session.add(account("a"))
    other = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    assert await count(other) == 1
    await other.close()


async def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    async with database.begin() as session:
        session.add(account("a"))
    async with database.read() as session:
        assert (await session.scalars(select(Account.created_at))).one() == NOW


async def one_more(session: AsyncSession) -> None:
    """Read first, write later: what deadlocks when two do it at once without taking turns."""
    region = int((await session.scalars(select(Account.region))).one())
    await asyncio.sleep(0)
    await session.execute(update(Account).values(region=str(region + 1)))


async def test_writers_of_two_processes_take_turns_and_lose_no_update(database: Database, tmp_path: Path) -> None:
    async with database.begin() as session:
        session.add(Account(id="acc_a", name="a", region="0", created_at=NOW))
    other = Database(f"sqlite:///{tmp_path / 'registry.db'}")

    async def write(through: Database) -> None:
        async with through.begin() as session:
            await one_more(session)

    await asyncio.gather(*(write(through) for _ in range(20) for through in (database, other)))
    async with database.read() as session:
        assert (await session.scalars(select(Account.region))).one() == "40"
    await other.close()


async def test_a_reader_does_not_wait_for_a_writer_and_sees_one_state(database: Database) -> None:
    async with database.read() as before, database.begin() as session:
        assert (await before.scalar(select(func.count()).select_from(Account))) == 0
        session.add(account("a"))
        await session.commit()
        assert (await before.scalar(select(func.count()).select_from(Account))) == 0
    assert await count(database) == 1


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        async with database.read() as session:
            session.add(account("a"))


async def test_a_cancelled_transaction_leaves_nothing_and_holds_nobody_up(database: Database) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        async with database.begin() as session:
            session.add(account("a"))
            await session.flush()
            entered.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await entered.wait()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    async with asyncio.timeout(5), database.begin() as session:
        session.add(account("b"))
    assert await count(database) == 1


async def test_a_lease_is_one_holders_until_it_ends_even_by_an_error(tmp_path: Path) -> None:
    database = new("postgresql", tmp_path)
    async with database.lease("tend") as first, database.lease("tend") as second, database.lease("sweep") as other:
        assert (first, second, other) == (True, False, True)
    with pytest.raises(LookupError):
        async with database.lease("tend"):
            raise LookupError
    async with database.lease("tend") as again:
        assert again
    await database.close()


async def test_a_registry_of_one_backend_always_has_the_lease(tmp_path: Path) -> None:
    database = new("sqlite", tmp_path)
    async with database.lease("tend") as is_ours:
        assert is_ours
    await database.close()


async def test_a_row_of_no_account_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.begin() as session:
            session.add(Site(id="sit_a", account_id="acc_nobody", name="a", created_at=NOW))


async def test_errors_quote_no_values(database: Database) -> None:
    async with database.begin() as session:
        session.add(account("sentinel"))
    with pytest.raises(IntegrityError) as refused:
        async with database.begin() as session:
            session.add(account("sentinel"))
    assert "sentinel" not in str(refused.value)


async def test_commits_are_synced_and_logged_ahead(database: Database) -> None:
    async with database.begin() as session:
        pragmas = [(await session.scalar(text(f"PRAGMA {name}"))) for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]


async def test_an_unmigrated_database_is_not_healthy(database: Database, tmp_path: Path) -> None:
    await database.check()
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(OperationalError):
        await empty.check()
    await empty.close()


def test_the_file_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    Database(f"sqlite:///{file}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_no_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="no URL of a database") as refused:
        Database("sentinel")
    assert "sentinel" not in str(refused.value)


def test_another_kind_of_database_is_refused_without_repeating_the_password() -> None:
    with pytest.raises(ValueError, match="not mysql") as refused:
        Database("mysql://user:sentinel@db.example.com/itsminer")
    assert "sentinel" not in str(refused.value)


def test_a_postgresql_url_is_taken_as_it_is() -> None:
    assert Database("postgresql://itsminer@db.example.com/itsminer").dialect == "postgresql"
