"""Accounts, sites and the names that they can have."""

from __future__ import annotations

import pytest

from backend.ids import AccountId
from backend.registry import accounts, sites
from backend.registry.database import Database
from backend.registry.errors import Invalid, Missing, Taken
from tests.backend.readings import NOW


async def add(database: Database, name: str) -> AccountId:
    async with database.begin() as session:
        return AccountId((await accounts.add(session, name, region="eu", now=NOW)).id)


async def test_an_account_is_found_by_id_and_by_name(database: Database) -> None:
    account = await add(database, "  Demo Mining ")
    async with database.read() as session:
        assert (await accounts.find(session, account)).name == "Demo Mining"
        assert (await accounts.find(session, "Demo Mining")).id == account
        with pytest.raises(Missing):
            await accounts.find(session, "demo")


async def test_two_accounts_cannot_have_one_name(database: Database) -> None:
    await add(database, "Demo")
    with pytest.raises(Taken):
        await add(database, "Demo ")


async def test_accounts_are_listed_by_name(database: Database) -> None:
    for name in ("b", "c", "a"):
        await add(database, name)
    async with database.read() as session:
        assert [account.name for account in await accounts.listed(session)] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "two\nlines", "bell\a", "acc_0123456789abcdef"])
async def test_a_name_that_cannot_be_shown_or_looks_like_an_id_is_refused(database: Database, name: str) -> None:
    with pytest.raises(Invalid):
        await add(database, name)


async def test_a_site_belongs_to_its_account_and_is_missing_elsewhere(database: Database) -> None:
    ours, theirs = await add(database, "ours"), await add(database, "theirs")
    async with database.begin() as session:
        site = await sites.add(session, ours, "North", now=NOW)
        await sites.add(session, theirs, "North", now=NOW)
    async with database.read() as session:
        assert (await sites.find(session, ours, "North")).id == site.id
        assert (await sites.find(session, theirs, "North")).id != site.id
        assert [one.id for one in await sites.listed(session, ours)] == [site.id]
        for foreign_or_unknown in (site.id, "sit_0000000000000000"):
            with pytest.raises(Missing, match=f"there is no site {foreign_or_unknown} in this account"):
                await sites.find(session, theirs, foreign_or_unknown)


async def test_an_account_has_a_site_name_once(database: Database) -> None:
    account = await add(database, "ours")
    async with database.begin() as session:
        await sites.add(session, account, "North", now=NOW)
    with pytest.raises(Taken):
        async with database.begin() as session:
            await sites.add(session, account, "North", now=NOW)
