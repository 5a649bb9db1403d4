"""The sweep of all accounts: each for itself, once, and written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from backend.ids import AccountId
from backend.privacy import audit
from backend.privacy.sweeping import EVERY, Sweeper, sweep
from backend.registry import accounts
from backend.registry.database import Database
from backend.store.embedded import EmbeddedStore
from backend.store.keys import BadKey
from tests.backend.readings import NOW, batch, reading

DAY = timedelta(days=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = EmbeddedStore(tmp_path / "accounts", clock=lambda: NOW)
    yield made
    await made.close()


async def account_with_a_reading(database: Database, store: EmbeddedStore, name: str) -> AccountId:
    async with database.begin() as session:
        account = AccountId((await accounts.add(session, name, region="eu", now=NOW)).id)
    await store.write(account, batch([reading(1)]), now=NOW)
    await store.set_window(account, "telemetry_raw", DAY)
    return account


async def swept(database: Database, account: AccountId | None = None) -> list[str | None]:
    async with database.read() as session:
        entries = await audit.entries(session, account=account)
    return [entry.subject for entry in entries if entry.action == "retention.swept"]


async def test_what_went_is_written_down_once(database: Database, store: EmbeddedStore) -> None:
    account = await account_with_a_reading(database, store, "North")
    await sweep(database, store, now=NOW)
    assert await swept(database) == []
    for _ in range(2):
        await sweep(database, store, now=NOW + 2 * DAY)
    assert await swept(database, account) == [
        "telemetry_raw: 1 rows, 0 bytes, 2026-01-01T12:00Z..2026-01-01T12:00Z",
    ]


async def test_an_account_that_fails_does_not_keep_the_others_data(
    database: Database, store: EmbeddedStore, tmp_path: Path
) -> None:
    names = ("North", "South", "West")
    broken, *others = [await account_with_a_reading(database, store, name) for name in names]
    await store.close()
    (tmp_path / "accounts" / broken / "key").write_bytes(b"no key")
    again = EmbeddedStore(tmp_path / "accounts", clock=lambda: NOW)
    with pytest.raises(ExceptionGroup, match="1 of 3") as caught:
        await sweep(database, again, now=NOW + 2 * DAY)
    assert caught.group_contains(BadKey)
    assert [len(await swept(database, account)) for account in others] == [1, 1]
    await again.close()


async def test_it_is_done_when_it_is_time_and_not_each_time(database: Database, store: EmbeddedStore) -> None:
    account = await account_with_a_reading(database, store, "North")
    sweeper = Sweeper(database, store)
    await sweeper.do(now=NOW + DAY)
    await sweeper.do(now=NOW + DAY + EVERY / 2)
    assert await swept(database, account) == []
    await sweeper.do(now=NOW + DAY + EVERY)
    assert len(await swept(database, account)) == 1
