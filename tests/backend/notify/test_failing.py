"""What will never be sent: bad contacts, refused messages, faults of ours."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry
from sqlalchemy import update

from backend.notify.protocol import NeverDeliverable
from backend.notify.routing import Channel
from backend.registry import members
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact
from tests.backend.farm import M1, Farm, gone, idle, rounds
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.sending import counted, fire, rows
from tests.backend.readings import at


async def test_a_bad_contact_is_marked_and_gets_nothing_any_more_by_that_channel(north: Farm) -> None:
    await fire(north)
    mail, text = Scripted([NeverDeliverable("550 5.1.1", is_contact_bad=True)]), Scripted()
    registry = CollectorRegistry()
    dispatcher = north.dispatcher({Channel.EMAIL: mail, Channel.SMS: text}, registry=registry)
    await dispatcher.dispatch(now=at(6))
    async with north.database.read() as session:
        member = await session.get_one(Member, north.member)
    assert (member.email_failed_at, member.phone_failed_at) == (at(6), None)
    assert [(row.failed_at, row.last_error) for row in await rows(north)] == [(at(6), "550 5.1.1")]
    assert counted(registry, "failed") == 1
    await north.judge(north.engine(), rounds(gone, [2], range(6, 12)) + rounds(idle, [3], range(6, 12)))
    for minute in range(12, 24):
        await dispatcher.dispatch(now=at(minute))
    assert mail.messages == []
    told, bounced, update = (message.text for message in text.messages)  # the phone is as good as before
    assert "Machine not hashing" in told or "hashrate" in told
    assert "(op...@example.com) gets no messages any more" in bounced
    assert "Machine offline" in update  # what the mail was for goes to who can be reached


async def test_a_bad_number_is_marked(north: Farm) -> None:
    await fire(north)
    dispatcher = north.dispatcher({Channel.SMS: Scripted([NeverDeliverable("400", is_contact_bad=True)])})
    await dispatcher.dispatch(now=at(6))
    async with north.database.read() as session:
        assert (await session.get_one(Member, north.member)).phone_failed_at == at(6)


async def test_a_refused_message_condemns_neither_the_contact_nor_the_warning(north: Farm) -> None:
    await fire(north)
    mail = Scripted([NeverDeliverable("554 spam", is_contact_bad=False)])
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    await dispatcher.dispatch(now=at(6))
    async with north.database.read() as session:
        assert (await session.get_one(Member, north.member)).email_failed_at is None
    failed, fresh = sorted(await rows(north), key=lambda row: row.due_at)
    assert failed.failed_at == at(6)
    assert fresh.due_at > at(240)  # not every five minutes
    await dispatcher.dispatch(now=fresh.due_at)
    assert mail.subjects == [f"CRITICAL - North: Machine not hashing: {M1}, since 12:00 UTC"]


async def test_a_fault_of_ours_in_one_message_stops_no_other(north: Farm) -> None:
    async with north.database.begin() as session:
        await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
    await fire(north)
    mail = Scripted([ZeroDivisionError()])
    await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(6))
    assert len(mail.messages) == 1
    tried = [row for row in await rows(north) if row.attempts]
    assert sorted(row.last_error or "" for row in tried) == ["", "fault: ZeroDivisionError"]


async def test_a_fault_of_ours_in_deciding_what_a_message_says_stops_no_other_and_is_given_up(north: Farm) -> None:
    async with north.database.begin() as session:
        await session.execute(
            update(Contact).values(quiet_from="25:00", quiet_to="06:00", critical_passes=False)  # nobody checked it
        )
        await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
    await fire(north)
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    await dispatcher.dispatch(now=at(6))
    assert len(mail.messages) == 1
    [waiting] = [row for row in await rows(north) if row.last_error]
    assert (waiting.last_error, waiting.due_at, waiting.attempts) == ("fault: ValueError", at(11), 0)
    await dispatcher.dispatch(now=waiting.expires_at)
    [given_up] = [row for row in await rows(north) if row.failed_at]
    assert (given_up.id, given_up.failed_at) == (waiting.id, waiting.expires_at)


async def test_a_fault_of_ours_in_deciding_what_follows_a_message_does_not_send_it_again(north: Farm) -> None:
    await fire(north)
    mail = Scripted(held=asyncio.Event())
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    task = asyncio.create_task(dispatcher.dispatch(now=at(6)))
    await mail.entered.wait()
    async with north.database.begin() as session:
        await session.execute(update(Contact).values(quiet_from="25:00", quiet_to="06:00", critical_passes=False))
    assert mail.held
    mail.held.set()
    await task
    sent, next_one = sorted(await rows(north), key=lambda row: row.due_at)
    assert (sent.sent_at, next_one.due_at, next_one.attempts) == (at(6), at(11), 0)
    async with north.database.begin() as session:
        await session.execute(update(Contact).values(quiet_from=None))
    await dispatcher.dispatch(now=at(12))
    assert len(mail.messages) == 1
    assert [row.due_at for row in await rows(north) if not row.sent_at] == [at(6 + 240)]  # the reminder, as ever
