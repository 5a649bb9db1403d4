"""Two backends over one registry, SQLite's and PostgreSQL's: nothing fires twice, nothing is sent twice."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from backend.config import Notify
from backend.notify import digests, failing
from backend.notify.outbox import Outbox, new_row
from backend.notify.protocol import Notifier
from backend.notify.routing import Channel
from backend.notify.sms import receipts
from backend.notify.sms.receipts import Receipt
from backend.registry import members, sites
from backend.registry.account_tables import Member
from backend.registry.database import Database
from backend.registry.notify_tables import Contact, OutboxMessage
from tests.backend.farm import NOTIFY, Farm, farm, hashing, idle, rounds
from tests.backend.notify.killing import is_killed, judging, sending
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.servers import mail_server
from tests.backend.readings import at, batch
from tests.backend.registry import databases

CONTACTS = 6


@pytest.fixture(params=databases.KINDS)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Farm, Database]]:
    """A farm with some members, and the same registry as another backend opens it."""
    first = databases.migrated(request.param, tmp_path)
    north = await farm(tmp_path, first)
    async with first.begin() as session:
        for number in range(1, CONTACTS):
            await members.add(
                session,
                north.account,
                email=f"m{number}@example.com",
                phone=f"+120255502{number:02}",
                verified=True,
                now=at(0),
            )
    url = first._url.render_as_string(hide_password=False)
    second = Database(re.sub(r"^(\w+)\+\w+:", r"\1:", url), keys=first._keys, accounts_dir=first.account_keys._folder)
    yield north, second
    await first.close()
    await second.close()


async def test_one_batch_at_two_backends_fires_once_and_each_contact_is_told_once(both: tuple[Farm, Database]) -> None:
    north, second = both
    engines = [north.engine(), north.engine(database=second)]
    sent = batch(rounds(idle, [1, 2, 3], range(6)), site=north.site, sent_at=at(5))
    await asyncio.gather(*(engine.judge(north.account, north.site, sent, now=at(5)) for engine in engines * 2))
    assert len(await north.firing()) == 3
    mail, text = Scripted(), Scripted()
    dispatchers = [
        north.dispatcher({Channel.EMAIL: mail, Channel.SMS: text}, database=database)
        for database in (north.database, second) * 2
    ]
    await asyncio.gather(*(dispatcher.dispatch(now=at(6)) for dispatcher in dispatchers))
    for told in (mail, text):
        assert Counter(Counter(message.to for message in told.messages).values()) == {1: CONTACTS}


async def test_the_cap_holds_over_two_backends(both: tuple[Farm, Database]) -> None:
    north, second = both
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    text = Scripted()
    dispatchers = [north.dispatcher({Channel.SMS: text}, database=database) for database in (north.database, second)]
    for dispatcher in dispatchers:
        dispatcher._claims._settings = Notify(sms_per_day=5)
    await asyncio.gather(*(dispatcher.dispatch(now=at(6)) for dispatcher in dispatchers))
    assert Counter(message.subject.split(" - ")[0] for message in text.messages) == {
        "CRITICAL": 5,
        "No more texts today": 1,
    }


async def test_two_processes_that_judge_and_send_at_once_fire_once_and_send_each_mail_once(north: Farm) -> None:
    async with north.database.begin() as session:
        for number in range(1, CONTACTS):
            await members.add(session, north.account, email=f"m{number}@example.com", verified=True, now=at(0))
    await asyncio.gather(*(is_killed(north.folder, 0, judging, north.account, north.site) for _ in range(2)))
    assert len(await north.warnings()) == 1
    async with mail_server() as server:
        await asyncio.gather(*(is_killed(north.folder, 0, sending, server.port, at(6)) for _ in range(2)))
        assert Counter(Counter(mail["To"] for mail in server.mails).values()) == {1: CONTACTS}


async def test_a_digest_that_is_due_at_both_is_opened_and_sent_once(both: tuple[Farm, Database]) -> None:
    north, second = both
    await north.judge(north.engine(), rounds(idle, [1], range(6)) + rounds(hashing, [1], range(6, 11)))
    due = at(20 * 60)
    opened = await asyncio.gather(*(digests.open_due(each, now=due) for each in (north.database, second) * 2))
    assert sum(opened) == CONTACTS
    mail = Scripted()
    await _dispatch_at_both(both, {Channel.EMAIL: mail}, due)
    assert Counter(Counter(message.to for message in mail.messages).values()) == {1: CONTACTS}


async def test_who_is_told_when_nobody_acknowledged_is_told_once(both: tuple[Farm, Database]) -> None:
    north, _ = both
    async with north.database.begin() as session:
        await session.execute(update(Contact).where(Contact.channel == "sms").values(after_min=15))
    await north.judge(north.engine(), rounds(idle, [1], range(6)))  # fires at 5
    mail, text = Scripted(), Scripted()
    for minute in (6, 20):
        await _dispatch_at_both(both, {Channel.EMAIL: mail, Channel.SMS: text}, at(minute))
        assert len(mail.messages) == CONTACTS
        assert Counter(Counter(each.to for each in text.messages).values()) == ({1: CONTACTS} if minute == 20 else {})


async def test_that_it_is_over_and_that_it_still_stands_are_told_once(both: tuple[Farm, Database]) -> None:
    north, second = both
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    mail = Scripted()
    for minute in (6, 6 + 240):  # the second is a reminder
        mail.messages.clear()
        await _dispatch_at_both(both, {Channel.EMAIL: mail}, at(minute))
        assert Counter(Counter(message.to for message in mail.messages).values()) == {1: CONTACTS}
    mail.messages.clear()
    over = batch(rounds(hashing, [1], range(247, 252)), site=north.site, sent_at=at(251))
    engines = (north.engine(), north.engine(database=second))
    await asyncio.gather(*(engine.judge(north.account, north.site, over, now=at(251)) for engine in engines))
    await _dispatch_at_both(both, {Channel.EMAIL: mail}, at(252))
    assert Counter(message.subject.partition(" ")[0] for message in mail.messages) == {"Resolved": CONTACTS}


async def test_a_receipt_that_comes_to_both_and_a_number_that_fails_at_both_count_once(
    both: tuple[Farm, Database],
) -> None:
    north, second = both
    async with north.database.begin() as session:
        south = await sites.add(session, north.account, "South", now=at(0))
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    async with north.database.begin() as session:  # two messages to each contact: about two sites
        for contact in await session.scalars(select(Contact).where(Contact.channel == "sms")):
            session.add(OutboxMessage(**new_row(south.id, contact, due_at=at(5), now=at(5))))
    await _dispatch_at_both(both, {Channel.SMS: Scripted()}, at(6))
    async with north.database.read() as session:
        sent = await session.execute(
            select(OutboxMessage.contact_id, OutboxMessage.id).where(OutboxMessage.sent_at.is_not(None))
        )
        [(contact_id, message), *_] = sent.all()
    assert contact_id
    outbox, gone = Outbox(NOTIFY), Receipt("failed", "30005", is_contact_bad=True)

    async def heard(database: Database) -> None:
        async with database.begin() as session:
            await receipts.record(session, message, gone, outbox, now=at(7))

    async def bounced(database: Database) -> None:
        async with database.begin() as session:
            await failing.mark(session, contact_id, "550", outbox, now=at(7))

    await asyncio.gather(*(each(database) for each in (heard, bounced) for database in (north.database, second)))
    async with north.database.read() as session:
        notices = (await session.scalars(select(OutboxMessage).where(OutboxMessage.kind == "notice"))).all()
        owners = await session.scalar(select(func.count()).where(Member.role.in_(("owner", "manager"))))
        row = await session.get_one(OutboxMessage, message)
    assert (row.delivery, row.delivery_at) == ("failed", at(7))
    assert [notice.body["notice"] for notice in notices] == ["bounced"] * (owners or 0)


async def _dispatch_at_both(both: tuple[Farm, Database], notifiers: dict[Channel, Notifier], now: datetime) -> None:
    north, second = both
    dispatchers = [north.dispatcher(notifiers, database=each) for each in (north.database, second) * 2]
    await asyncio.gather(*(dispatcher.dispatch(now=now) for dispatcher in dispatchers))
