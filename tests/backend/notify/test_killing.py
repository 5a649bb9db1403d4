"""kill -9 at each step: nothing is lost, and a kill gives at most one duplicate, under the same id."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from backend.notify.claims import LEASE
from backend.registry.database import Database
from backend.registry.notify_tables import Contact, OutboxMessage
from backend.registry.warning_tables import Warning
from tests.backend.farm import Farm
from tests.backend.notify.killing import is_killed, judging, opening_digests, sending
from tests.backend.notify.sending import fire, rows
from tests.backend.notify.servers import MailServer, mail_server
from tests.backend.readings import at

MORNING = at(20 * 60)


@pytest.fixture
async def fired(north: Farm) -> Farm:
    """Something to tell, by mail alone."""
    await fire(north)
    await north.database.close()
    return north


@asynccontextmanager
async def copied(north: Farm, name: str) -> AsyncIterator[Farm]:
    """The same farm in a folder of its own."""
    folder = north.folder / name
    shutil.copytree(north.folder, folder, ignore=lambda _folder, names: [each for each in names if each.isdigit()])
    database = Database(f"sqlite:///{folder / 'registry.db'}", is_disposable=True)
    yield Farm(folder, database, north.account, north.site, north.member)
    await database.close()


def ids(server: MailServer) -> list[str]:
    return [mail["Message-ID"] for mail in server.mails]


async def test_a_kill_at_any_step_of_sending_loses_nothing_and_doubles_only_what_had_left(fired: Farm) -> None:
    doubled = 0
    for step in range(1, 100):
        async with copied(fired, str(step)) as north, mail_server() as server:
            if not await is_killed(north.folder, step, sending, server.port, at(6)):
                break
            (row,) = await rows(north)
            had_left, is_marked, is_leased = len(server.mails), row.sent_at is not None, row.claimed_until is not None
            await sending(north.database, server.port, at(7))
            assert len(server.mails) == (had_left if is_leased else 1)  # nobody else's before the lease ends
            await sending(north.database, server.port, at(6) + LEASE)
            await sending(north.database, server.port, at(10))
            assert ids(server) == [f"<{row.id}@example.com>"] * (2 if had_left and not is_marked else 1)
            assert [row.sent_at is not None for row in await rows(north)] == [True, False]  # and a reminder, some day
            doubled += len(server.mails) - 1
    assert step > 12
    assert doubled >= 2  # after the mail was taken, and before that was written down


async def test_each_kill_in_a_row_gives_at_most_one_duplicate(fired: Farm) -> None:
    """The first is killed at its first step, its successor at the second, …"""
    now, taken = at(6), 0
    async with copied(fired, "row") as north, mail_server() as server:
        for step in range(1, 100):
            went_on = await is_killed(north.folder, step, sending, server.port, now)
            assert len(server.mails) <= taken + 1
            taken, now = len(server.mails), now + LEASE
            if not went_on:
                break
        (sent,) = [row for row in await rows(north) if row.sent_at]
        assert set(ids(server)) == {f"<{sent.id}@example.com>"}


async def test_a_kill_at_any_step_of_judging_neither_loses_a_message_nor_writes_two(north: Farm) -> None:
    await north.database.close()
    for step in range(1, 100):
        async with copied(north, str(step)) as farm:
            went_on = await is_killed(farm.folder, step, judging, farm.account, farm.site)
            async with farm.database.read() as session:  # a message if and only if there is what it tells
                warnings = (await session.scalars(select(Warning.id))).all()
                assert len((await session.scalars(select(OutboxMessage.id))).all()) == 2 * len(warnings)
            await judging(farm.database, farm.account, farm.site)  # the agent sends its batch again
            assert len(await farm.warnings()) == 1
            assert [row.channel for row in await farm.outbox()] == ["email", "sms"]
            if not went_on:
                break
    assert step > 2


async def test_a_kill_at_any_step_of_opening_digests_opens_each_once(fired: Farm) -> None:
    for step in range(1, 100):
        async with copied(fired, str(step)) as north:
            went_on = await is_killed(north.folder, step, opening_digests, MORNING)
            await opening_digests(north.database, MORNING)
            assert len([row for row in await rows(north) if row.kind == "digest"]) == 1
            async with north.database.read() as session:
                due = await session.scalars(select(Contact.digest_due_at).where(Contact.digests == "daily"))
                assert due.all() == [at(44 * 60)]
            if not went_on:
                break
    assert step > 2
