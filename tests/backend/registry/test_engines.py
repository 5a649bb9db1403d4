"""The registry does the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from backend.accounts import challenges, secret, throttle
from backend.ids import AccountId, SiteId
from backend.registry import accounts, enrolment, members, sites, tokens
from backend.registry.base import Base
from backend.registry.database import Database, alembic_config
from backend.registry.errors import Missing, Taken
from tests.backend.readings import NOW
from tests.backend.registry import databases


@pytest.fixture(params=databases.KINDS)
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Each kind, with all tables and nothing in them."""
    made = databases.migrated(request.param, tmp_path)
    yield made
    await made.close()


async def founded(registry: Database, name: str = "Demo") -> tuple[AccountId, SiteId]:
    async with registry.begin() as session:
        account = AccountId((await accounts.add(session, name, region="eu", now=NOW)).id)
        return account, SiteId((await sites.add(session, account, "North", now=NOW)).id)


def stolen(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


async def test_the_revisions_and_the_tables_say_the_same_on_each(registry: Database) -> None:
    differences: list[Any] = []

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences.extend(compare_metadata(context, Base.metadata))

    await registry.alter(compare)
    assert differences == []


async def test_contacts_are_sealed_and_found_again(registry: Database) -> None:
    account, _ = await founded(registry)
    async with registry.begin() as session:
        added = await members.add(session, account, email="a@farm.example", phone="+14155550123", now=NOW)
        [row] = (await session.execute(text("SELECT email, phone, email_index FROM members"))).all()
    assert not {"a@farm.example", "+14155550123"} & set(row)
    assert row.email_index == registry.account_keys.index(account, "a@farm.example")
    assert row.email.startswith(f"{account}.v1.1.")
    async with registry.read() as session:
        [found] = await members.listed(session, account)
    assert (found.id, found.email, found.phone) == (added.id, "a@farm.example", "+14155550123")
    with pytest.raises(Taken):
        async with registry.begin() as session:
            await members.add(session, account, email="A@farm.example", now=NOW)


async def test_an_enrolment_code_is_used_by_one_of_two_at_once(registry: Database) -> None:
    account, site = await founded(registry)
    async with registry.begin() as session:
        code = await enrolment.issue(session, account, site, now=NOW)

    async def use() -> str:
        async with registry.begin() as session:
            return (await enrolment.redeem(session, code, now=NOW)).token

    results = await asyncio.gather(use(), use(), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Missing", "str"]
    assert any(isinstance(result, Missing) for result in results)


async def test_a_rotated_agents_token_is_good_for_a_while_and_a_revoked_one_is_not(registry: Database) -> None:
    account, site = await founded(registry)
    async with registry.begin() as session:
        _, old = await tokens.issue(session, account, kind="agent", site=site, label="agent", now=NOW)
        bearer = await tokens.bearer(session, old, now=NOW)
        assert bearer is not None
        new = secret.new(tokens.PREFIX)
        await tokens.rotate(session, bearer, secret.hashed(new), now=NOW)
    later = NOW + tokens.OVERLAP
    async with registry.begin() as session:
        assert [await tokens.bearer(session, each, now=later) is None for each in (old, new)] == [True, False]
        newer = await tokens.bearer(session, new, now=later)
        assert newer is not None
        await tokens.revoke(session, account, newer.token, now=later)
        assert await tokens.bearer(session, new, now=later) is None


async def test_a_challenge_is_used_once_by_its_secret_alone(registry: Database) -> None:
    account, _ = await founded(registry)
    async with registry.begin() as session:
        member = await members.add(session, account, email="a@farm.example", now=NOW)
        asked = await challenges.issue(
            session, "email", contact=member.email, account=account, member=member.id, now=NOW
        )
        token = challenges.secret(databases.KEYS, asked)
        assert await challenges.redeem(session, "guardian", token, now=NOW) is None
        assert await challenges.redeem(session, "email", token + "A", now=NOW) is None
        assert await challenges.redeem(session, "email", token, now=asked.expires_at) is None
        assert await challenges.redeem(session, "email", token, now=NOW) is asked
        assert await challenges.redeem(session, "email", token, now=NOW) is None


async def test_waits_grow_with_failures_to_an_hour_and_are_forgiven(registry: Database) -> None:
    waits = []
    for _ in range(14):
        async with registry.begin() as session:
            await throttle.count_failure(session, "key", now=NOW)
            waits.append(await throttle.wait_s(session, "key", now=NOW))
    assert waits == [0, 0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    async with registry.begin() as session:
        assert await throttle.wait_s(session, "key", now=NOW + timedelta(hours=1)) == 0
        await throttle.forgive(session, "key")
        assert await throttle.wait_s(session, "key", now=NOW) == 0


@pytest.mark.parametrize("kind", databases.KINDS)
async def test_contacts_that_were_there_are_sealed_on_the_way_up_and_opened_on_the_way_down(
    kind: str, tmp_path: Path
) -> None:
    registry = databases.new(kind, tmp_path)
    await registry.alter(lambda connection: command.upgrade(alembic_config(connection), "0001"))
    async with registry.begin() as session:
        for statement in (
            "INSERT INTO accounts (id, name, region, created_at) VALUES ('acc_1', 'Demo', 'eu', '2026-01-01 00:00:00')",
            "INSERT INTO members (id, account_id, role, email, phone, language, created_at) VALUES "
            "('mem_1', 'acc_1', 'owner', 'old@farm.example', '+14155550123', 'en', '2026-01-01 00:00:00')",
            "INSERT INTO outbox (id, account_id, member_id, channel, kind, dedup_key, body, created_at, due_at, "
            "expires_at, attempts) VALUES ('msg_1', 'acc_1', 'mem_1', 'email', 'warnings', 'k', '{}', "
            "'2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 0)",
        ):
            await session.execute(text(statement))
    await registry.migrate()
    async with registry.read() as session:
        [member] = await members.listed(session, AccountId("acc_1"))
        assert (member.email, member.phone) == ("old@farm.example", "+14155550123")
        [raw] = (await session.execute(text("SELECT email FROM members"))).scalars()
        assert raw.startswith("acc_1.v1.1.")
        assert (await session.execute(text("SELECT count(*) FROM outbox"))).scalar() == 1
        assert (await accounts.find(session, "acc_1")).activated_at is not None
    if kind == "sqlite":
        assert b"old@farm" not in stolen(tmp_path)
    await registry.alter(lambda connection: command.downgrade(alembic_config(connection), "0001"))
    async with registry.read() as session:
        [row] = (await session.execute(text("SELECT email, phone FROM members"))).all()
    assert tuple(row) == ("old@farm.example", "+14155550123")
    await registry.close()
