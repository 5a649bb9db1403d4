"""Tokens and the codes that they are traded for."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from backend.accounts import typed
from backend.ids import AccountId, SiteId
from backend.registry import accounts, enrolment, sites, tokens
from backend.registry.database import Database
from backend.registry.enrolment import LIFETIME, Enrolled
from backend.registry.errors import Missing
from backend.registry.site_tables import EnrolmentCode
from backend.registry.tokens import Bearer
from tests.backend.readings import NOW

Farm = tuple[AccountId, SiteId]


@pytest.fixture
async def farm(database: Database) -> Farm:
    async with database.begin() as session:
        account = AccountId((await accounts.add(session, "Demo", region="eu", now=NOW)).id)
        return account, SiteId((await sites.add(session, account, "North", now=NOW)).id)


async def issue(database: Database, account: AccountId, **fields: object) -> tuple[str, str]:
    """Id and secret of a read token."""
    async with database.begin() as session:
        expires_at = NOW + timedelta(days=1) if fields.get("expires") else None
        token, secret = await tokens.issue(
            session, account, kind="read", label="grafana", expires_at=expires_at, now=NOW
        )
    return token.id, secret


async def bearer(database: Database, secret: str, after: timedelta = timedelta(0)) -> Bearer | None:
    async with database.read() as session:
        return await tokens.bearer(session, secret, now=NOW + after)


async def code(database: Database, farm: Farm) -> str:
    async with database.begin() as session:
        return await enrolment.issue(session, *farm, now=NOW)


async def redeem(database: Database, code: str, after: timedelta = timedelta(0)) -> Enrolled:
    async with database.begin() as session:
        return await enrolment.redeem(session, code, now=NOW + after)


async def test_a_token_opens_its_account_and_only_its_hash_is_kept(database: Database, farm: Farm) -> None:
    token, secret = await issue(database, farm[0])
    assert await bearer(database, secret) == Bearer(token, farm[0], "read", None)
    assert re.fullmatch(r"imt_[A-Za-z0-9_-]{43}", secret), "256 bits"
    async with database.read() as session:
        rows = (await session.execute(text("SELECT * FROM tokens"))).all()
    assert secret not in str(rows)


@pytest.mark.parametrize("wrong", ["", "imt_", "imt_" + "A" * 43, "A" * 43, "ümlaut", "imt_ü"])
async def test_any_other_token_opens_nothing(database: Database, farm: Farm, wrong: str) -> None:
    await issue(database, farm[0])
    assert await bearer(database, wrong) is None


async def test_a_revoked_or_expired_token_opens_nothing(database: Database, farm: Farm) -> None:
    token, secret = await issue(database, farm[0], expires=True)
    assert await bearer(database, secret, after=timedelta(hours=23))
    assert await bearer(database, secret, after=timedelta(days=1)) is None
    async with database.begin() as session:
        await tokens.revoke(session, farm[0], token, now=NOW)
    assert await bearer(database, secret) is None


async def test_revoking_again_keeps_the_first_time(database: Database, farm: Farm) -> None:
    token, _ = await issue(database, farm[0])
    for minutes in (0, 5):
        async with database.begin() as session:
            await tokens.revoke(session, farm[0], token, now=NOW + timedelta(minutes=minutes))
    async with database.read() as session:
        assert [one.revoked_at for one in await tokens.listed(session, farm[0])] == [NOW]


async def test_another_accounts_token_cannot_be_revoked(database: Database, farm: Farm) -> None:
    token, secret = await issue(database, farm[0])
    async with database.begin() as session:
        stranger = AccountId((await accounts.add(session, "Stranger", region="eu", now=NOW)).id)
    for foreign_or_unknown in (token, "tok_0000000000000000"):
        with pytest.raises(Missing, match=f"there is no token {foreign_or_unknown} in this account"):
            async with database.begin() as session:
                await tokens.revoke(session, stranger, foreign_or_unknown, now=NOW)
    assert await bearer(database, secret)


async def test_a_code_makes_an_agent_of_its_site(database: Database, farm: Farm) -> None:
    shown = await code(database, farm)
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", shown)
    enrolled = await redeem(database, shown)
    assert (enrolled.account, enrolled.site, enrolled.site_name) == (*farm, "North")
    found = await bearer(database, enrolled.token)
    assert found is not None
    assert (found.account, found.kind, found.site) == (farm[0], "agent", farm[1])


async def test_a_code_may_be_typed_as_people_type(database: Database, farm: Farm) -> None:
    async with database.begin() as session:
        hashed = typed.hashed("0A1B-1234-5678")
        session.add(EnrolmentCode(code_hash=hashed, account_id=farm[0], site_id=farm[1], expires_at=NOW + LIFETIME))
    assert await redeem(database, " oaib l234 5678 ")


async def test_a_code_is_good_once_and_for_an_hour(database: Database, farm: Farm) -> None:
    late = await code(database, farm)
    with pytest.raises(Missing):
        await redeem(database, late, after=LIFETIME)
    used = await code(database, farm)
    await redeem(database, used, after=LIFETIME - timedelta(seconds=1))
    with pytest.raises(Missing, match="unknown, used or older"):
        await redeem(database, used)


async def test_of_many_agents_with_one_code_one_is_enrolled(database: Database, farm: Farm) -> None:
    shown = await code(database, farm)
    outcomes = await asyncio.gather(*(redeem(database, shown) for _ in range(8)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Enrolled"] + ["Missing"] * 7


async def test_a_new_agent_of_a_site_ends_the_one_before(database: Database, farm: Farm) -> None:
    read = (await issue(database, farm[0]))[1]
    first = await redeem(database, await code(database, farm))
    second = await redeem(database, await code(database, farm))
    assert await bearer(database, first.token) is None
    assert await bearer(database, second.token)
    assert await bearer(database, read), "read tokens are not an agent's"


async def test_expired_codes_are_forgotten(database: Database, farm: Farm) -> None:
    await code(database, farm)
    for after, left in ((LIFETIME - timedelta(seconds=1), 1), (LIFETIME, 0)):
        async with database.begin() as session:
            await enrolment.forget_expired(session, now=NOW + after)
            assert len((await session.scalars(select(EnrolmentCode))).all()) == left
