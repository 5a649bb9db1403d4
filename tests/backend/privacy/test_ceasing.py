"""The end of the service, killed in the middle; what a hold keeps; letters that cannot be sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from backend.ids import AccountId, SiteId
from backend.privacy import ceasing, erasing, windows
from backend.registry import accounts, members, sites
from backend.registry.account_tables import Account
from backend.registry.database import Database
from backend.registry.privacy_tables import Letter
from backend.store.embedded import EmbeddedStore
from backend.store.protocol import Removed, Scope
from tests.backend.readings import NOW, batch, reading

NOTICE = timedelta(days=7)
DUE = NOW + NOTICE


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = EmbeddedStore(tmp_path / "accounts", clock=lambda: NOW)
    yield made
    await made.close()


@pytest.fixture
async def three(database: Database, store: EmbeddedStore) -> list[AccountId]:
    """Three accounts with a member and a reading each, of a service whose end was decided and told."""
    found = []
    for name in ("East", "North", "South"):
        async with database.begin() as session:
            account = AccountId((await accounts.add(session, name, region="eu", now=NOW)).id)
            site = SiteId((await sites.add(session, account, "Hall", now=NOW)).id)
            await members.add(session, account, email=f"owner@{name.lower()}.example", verified=True, now=NOW)
        await store.write(account, batch([reading(1)], site=site), now=NOW)
        found.append(account)
    async with database.begin() as session:
        await ceasing.begin(session, "We close.", notice=NOTICE, by="command", now=NOW)
        await session.execute(update(Letter).values(sent_at=NOW))
    return found


async def left(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(Account)) or 0


async def test_who_is_killed_in_the_middle_goes_on_until_nothing_is_left(
    database: Database, store: EmbeddedStore, three: list[AccountId], tmp_path: Path
) -> None:
    class Killed(EmbeddedStore):
        erased = 0

        async def erase(self, account: AccountId, scope: Scope) -> Sequence[Removed]:
            self.erased += 1
            if self.erased == 2:
                raise KeyboardInterrupt
            return await store.erase(account, scope)

    file = tmp_path / "erased.accounts"
    await ceasing.go_on(database, store, erased_file=file, now=DUE - timedelta(seconds=1))
    assert await left(database) == 3
    killed = Killed(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        await ceasing.go_on(database, killed, erased_file=file, now=DUE)
    await killed.close()
    assert await left(database) == 1
    assert list((tmp_path / "accounts").glob("acc_*"))
    assert len(await erasing.erase_again(database, store, erased_file=file, now=DUE)) == 1  # as each start does
    await ceasing.go_on(database, store, erased_file=file, now=DUE)
    assert await left(database) == 0
    assert not list((tmp_path / "accounts").glob("acc_*"))
    async with database.read() as session:
        state = await ceasing.state(session)
    assert state is not None
    assert state.erased_at == DUE
    await ceasing.go_on(database, store, erased_file=file, now=DUE + timedelta(days=1))  # and nothing more


async def test_what_the_law_keeps_goes_when_its_hold_ends(
    database: Database, store: EmbeddedStore, three: list[AccountId], tmp_path: Path
) -> None:
    async with database.begin() as session:
        await windows.hold(session, three[0], "warnings", basis="order 12 K 34/26", days=30, now=NOW)
    file = tmp_path / "erased.accounts"
    await ceasing.go_on(database, store, erased_file=file, now=DUE)
    assert await left(database) == 1
    await ceasing.go_on(database, store, erased_file=file, now=NOW + timedelta(days=31))
    assert await left(database) == 0


async def test_letters_that_are_under_way_hold_the_erasure_up_but_not_for_ever(
    database: Database, store: EmbeddedStore, three: list[AccountId], tmp_path: Path
) -> None:
    assert three
    async with database.begin() as session:
        await session.execute(update(Letter).values(sent_at=None))
    file = tmp_path / "erased.accounts"
    await ceasing.go_on(database, store, erased_file=file, now=DUE)
    assert await left(database) == 3
    await ceasing.go_on(database, store, erased_file=file, now=DUE + ceasing.PATIENCE)
    assert await left(database) == 0
