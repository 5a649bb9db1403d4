"""The dispatcher when things go wrong: retries, leases, two processes, kill -9, servers that hang."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from backend.config import Sms as SmsSettings
from backend.config import Smtp
from backend.notify.claims import LEASE
from backend.notify.dispatcher import DEADLINE_S, Dispatcher, pause_s
from backend.notify.email import OPENING_S, Email
from backend.notify.protocol import NeverDeliverable, TryLater
from backend.notify.routing import Channel
from backend.notify.sms import Sms
from backend.registry import members
from backend.registry.tables import Member, OutboxMessage
from tests.backend.farm import M1, M2, Farm, gone, hashing, idle, rounds
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.servers import mail_server, sms_gateway
from tests.backend.readings import at


async def fire(north: Farm, numbers: list[int] | None = None) -> None:
    """Something critical, due at 5:30."""
    await north.judge(north.engine(), rounds(idle, numbers or [1], range(6)))


async def rows(north: Farm, channel: Channel = Channel.EMAIL) -> list[OutboxMessage]:
    return [row for row in await north.outbox() if row.channel == channel.value]


def counted(registry: CollectorRegistry, outcome: str, channel: Channel = Channel.EMAIL) -> float | None:
    return registry.get_sample_value("itsminer_messages_total", {"channel": channel.value, "outcome": outcome})


# Trying again.


def test_pauses_double_with_jitter_up_to_half_an_hour_and_respect_a_servers_wish() -> None:
    assert [pause_s(attempt, None, 1) for attempt in (1, 2, 3, 8, 9, 99)] == [15, 30, 60, 1800, 1800, 1800]
    assert pause_s(1, None, 0) == 7.5
    assert pause_s(1, 120, 1) == 120
    assert pause_s(9, 120, 1) == 1800
    assert pause_s(1, 10**9, 1) == 3600


def test_who_sends_gives_up_before_its_lease_ends_and_a_mail_servers_greeting_before_that() -> None:
    assert OPENING_S < DEADLINE_S < LEASE.total_seconds()


async def test_what_cannot_be_sent_now_is_sent_later_under_the_same_id(north: Farm) -> None:
    await fire(north)
    mail = Scripted([TryLater("451"), TryLater("451")])
    registry = CollectorRegistry()
    dispatcher = north.dispatcher({Channel.EMAIL: mail}, registry=registry)
    await dispatcher.dispatch(now=at(6))
    (row,) = await rows(north)
    assert (row.attempts, row.last_error, row.sent_at, row.claimed_until) == (1, "451", None, None)
    assert at(6) < row.due_at <= at(6.25)
    assert await dispatcher.dispatch(now=at(6)) == 0
    await dispatcher.dispatch(now=at(7))
    await dispatcher.dispatch(now=at(9))
    assert [message.id for message in mail.messages] == [row.id]
    assert (counted(registry, "put_off"), counted(registry, "sent")) == (2, 1)


async def test_a_wish_of_the_server_is_respected(north: Farm) -> None:
    await fire(north)
    dispatcher = north.dispatcher({Channel.EMAIL: Scripted([TryLater("429", after_s=600)])})
    await dispatcher.dispatch(now=at(6))
    assert [row.due_at for row in await rows(north)] == [at(16)]


async def test_after_a_failure_that_delivered_nothing_what_is_over_by_now_is_told_to_nobody(north: Farm) -> None:
    await fire(north)
    mail = Scripted([TryLater("connection refused")])
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    await dispatcher.dispatch(now=at(6))
    await north.judge(north.engine(), rounds(hashing, [1], range(6, 11)))
    await dispatcher.dispatch(now=at(11))
    assert (mail.messages, await rows(north)) == ([], [])


async def test_after_a_failure_that_delivered_nothing_the_message_tells_what_is_so_now(north: Farm) -> None:
    await fire(north)
    mail = Scripted([TryLater("connection refused")])
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    await dispatcher.dispatch(now=at(6))
    await north.judge(north.engine(), rounds(gone, [2], range(6, 12)))
    await dispatcher.dispatch(now=at(12))
    assert mail.subjects == ["CRITICAL - North: Machine not hashing, Machine offline"]


async def test_a_message_that_may_have_arrived_is_sent_again_with_what_it_told(north: Farm) -> None:
    await fire(north)
    mail = Scripted([TryLater("no answer", may_have_arrived=True)])
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    await dispatcher.dispatch(now=at(6))
    await north.judge(north.engine(), rounds(hashing, [1], range(6, 11)))
    await dispatcher.dispatch(now=at(11))
    assert mail.subjects == [f"CRITICAL - North: Machine not hashing: {M1}"]
    assert "resolved 1 Jan 2026, 12:09 UTC" in mail.messages[0].text
    await dispatcher.dispatch(now=at(16))
    assert mail.subjects[1:] == [f"Resolved - North: Machine not hashing: {M1}"]


async def test_after_24_hours_it_is_given_up_visibly_and_what_still_is_so_is_told_anew(north: Farm) -> None:
    await fire(north)
    mail = Scripted([TryLater("server away")] * 1_000)
    registry = CollectorRegistry()
    dispatcher = north.dispatcher({Channel.EMAIL: mail}, registry=registry)
    now = at(6)
    while counted(registry, "given_up") == 0:
        await dispatcher.dispatch(now=now)
        now = await dispatcher.next_due() or now
    assert timedelta(hours=23) < now - at(6) < timedelta(hours=25)
    failed, fresh = sorted(await rows(north), key=lambda row: row.created_at)
    assert (failed.sent_at, failed.last_error) == (None, "server away")
    assert failed.failed_at
    assert (fresh.failed_at, fresh.attempts) == (None, 0)
    mail.failures.clear()
    await dispatcher.dispatch(now=now + timedelta(hours=1))
    assert mail.subjects == [f"CRITICAL - North: Machine not hashing: {M1}"]


# Never.


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
    assert len(text.messages) == 2  # the phone is as good as before


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
    assert mail.subjects == [f"CRITICAL - North: Machine not hashing: {M1}"]


async def test_a_fault_of_ours_in_one_message_stops_no_other(north: Farm) -> None:
    async with north.database.begin() as session:
        await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
    await fire(north)
    mail = Scripted([ZeroDivisionError()])
    await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(6))
    assert len(mail.messages) == 1
    tried = [row for row in await rows(north) if row.attempts]
    assert sorted(row.last_error or "" for row in tried) == ["", "fault: ZeroDivisionError"]


# Leases.


async def test_who_dies_before_sending_leaves_it_to_the_next_when_the_lease_ends(north: Farm) -> None:
    await fire(north)
    dying = Scripted(held=asyncio.Event())
    task = asyncio.create_task(north.dispatcher({Channel.EMAIL: dying}).dispatch(now=at(6)))
    await dying.entered.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    assert await dispatcher.dispatch(now=at(7)) == 0
    assert await dispatcher.next_due() == at(6) + LEASE
    assert await dispatcher.dispatch(now=at(6) + LEASE) == 1
    assert len(mail.messages) == 1


async def test_what_was_sent_and_could_not_be_marked_is_sent_again_under_the_same_id(north: Farm) -> None:
    await fire(north)
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})

    @event.listens_for(north.database._writer.sync_engine, "before_cursor_execute")
    def fail(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "sent_at=?" in statement:
            raise OperationalError("UPDATE", {}, OSError("the disk is full"))

    await dispatcher.dispatch(now=at(6))
    event.remove(north.database._writer.sync_engine, "before_cursor_execute", fail)
    await dispatcher.dispatch(now=at(6) + LEASE)
    assert len(mail.messages) == 2
    assert len({message.id for message in mail.messages}) == 1
    assert {message.subject for message in mail.messages} == {f"CRITICAL - North: Machine not hashing: {M1}"}


async def test_whoever_comes_back_after_its_lease_changes_nothing_of_its_successors(north: Farm) -> None:
    await fire(north)
    slow = Scripted([TryLater("451")], held=asyncio.Event())
    task = asyncio.create_task(north.dispatcher({Channel.EMAIL: slow}).dispatch(now=at(6)))
    await slow.entered.wait()
    mail = Scripted()
    await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(8))
    assert slow.held
    slow.held.set()
    await task
    sent, reminder = sorted(await rows(north), key=lambda row: row.due_at)
    assert (sent.sent_at, sent.last_error, reminder.attempts) == (at(8), None, 0)
    assert len(mail.messages) == 1


async def test_two_dispatchers_over_one_registry_send_each_message_once(north: Farm) -> None:
    async with north.database.begin() as session:
        for number in range(15):
            await members.add(session, north.account, email=f"m{number}@example.com", verified=True, now=at(0))
    await fire(north)
    other = north.other_process()
    mail = Scripted()
    await asyncio.gather(
        *(
            north.dispatcher({Channel.EMAIL: mail}, database=database).dispatch(now=at(6))
            for database in (north.database, other, north.database, other)
        )
    )
    assert Counter(Counter(message.to for message in mail.messages).values()) == {1: 16}
    await other.close()


# Slow servers, and running on.


@contextlib.asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await dispatcher.close()


async def eventually(condition: Callable[[], Any], timeout_s: float = 20) -> None:
    """Look until it is so; the condition may have to be awaited."""
    async with asyncio.timeout(timeout_s):
        while not (await found if inspect.isawaitable(found := condition()) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_mail_server_that_hangs_holds_up_no_text_and_no_other_mail(north: Farm) -> None:
    async with north.database.begin() as session:
        await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
    await fire(north)

    async def all_have_failed() -> bool:
        return all(row.last_error for row in await rows(north))

    async with mail_server() as mails, sms_gateway() as texts:
        mails.behaviour = "hangs"
        smtp = Smtp(host="127.0.0.1", port=mails.port, tls="none", sender="farm@example.com")
        gateway = SmsSettings(
            url=f"http://127.0.0.1:{texts.port}", account="AC1", token=SecretStr("x"), sender="+12025550100"
        )
        dispatcher = north.dispatcher(
            {Channel.EMAIL: Email(smtp), Channel.SMS: Sms(gateway)}, clock=lambda: at(6), deadline_s=1
        )
        async with running(dispatcher):
            await mails.entered.wait()
            await eventually(lambda: texts.arrived)
            await eventually(lambda: len(mails.arrived) == 2)  # both wait for their answer at the same time
            await eventually(all_have_failed)
    assert {row.last_error for row in await rows(north)} == {"no answer within the deadline"}
    assert all(row.body for row in await rows(north))  # they may have arrived: told again as they were


async def test_no_more_than_eight_messages_of_a_channel_are_under_way(north: Farm) -> None:
    async with north.database.begin() as session:
        for number in range(20):
            await members.add(session, north.account, email=f"m{number}@example.com", verified=True, now=at(0))
    await fire(north)
    mail = Scripted(held=asyncio.Event())
    async with running(north.dispatcher({Channel.EMAIL: mail}, clock=lambda: at(6))):
        await eventually(lambda: mail.at_once == 8)
        assert mail.held
        mail.held.set()
        await eventually(lambda: len(mail.messages) == 21)
    assert mail.most_at_once == 8


async def test_a_running_dispatcher_wakes_for_what_is_written_and_for_what_gets_due(north: Farm) -> None:
    mail = Scripted()
    started, offset = asyncio.get_running_loop().time(), at(5.495)

    def clock() -> datetime:
        return offset + timedelta(seconds=asyncio.get_running_loop().time() - started)

    dispatcher = north.dispatcher({Channel.EMAIL: mail}, clock=clock)
    async with running(dispatcher):
        await asyncio.sleep(0)
        await fire(north)  # due at 5:30, which is 0.3 s from now
        dispatcher.wake()
        await eventually(lambda: mail.messages)
    assert clock() < at(5.5) + timedelta(seconds=4)  # it did not wait for its next look


async def test_a_message_that_is_under_way_when_the_program_ends_is_finished(north: Farm) -> None:
    await fire(north)
    mail = Scripted(held=asyncio.Event())
    dispatcher = north.dispatcher({Channel.EMAIL: mail}, clock=lambda: at(6))
    task = asyncio.create_task(dispatcher.run())
    await mail.entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert mail.held
    mail.held.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.sent_at for row in await rows(north) if row.attempts] == [at(6)]


async def test_a_registry_that_is_away_for_a_moment_ends_nothing(north: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.notify.dispatcher.POLL_S", 0.05)
    await fire(north)
    mail, failures = Scripted(), iter(range(3))

    @event.listens_for(north.database._reader.sync_engine, "before_cursor_execute")
    def fail(_c: Any, _cursor: Any, _statement: str, *_rest: Any) -> None:
        if next(failures, None) is not None:
            raise OperationalError("SELECT", {}, RuntimeError("connection lost"))

    async with running(north.dispatcher({Channel.EMAIL: mail}, clock=lambda: at(6))):
        await eventually(lambda: mail.messages)


# kill -9.

_CHILD = """
import asyncio, sys
from datetime import datetime
from backend.config import Contact, Notify, Smtp
from backend.notify.dispatcher import Dispatcher
from backend.notify.email import Email
from backend.notify.routing import Channel
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue

async def main(url, port, now):
    email = Email(Smtp(host="127.0.0.1", port=int(port), tls="none", sender="farm@example.com"))
    dispatcher = Dispatcher(Database(url), {Channel.EMAIL: email}, Notify(), catalogue=Catalogue.load(),
        public_url="https://farm.example.com", contact=Contact(), clock=lambda: datetime.fromisoformat(now))
    await dispatcher.dispatch(now=datetime.fromisoformat(now))

asyncio.run(main(*sys.argv[1:]))
"""


def child(north: Farm, port: int, now: datetime) -> subprocess.Popen[bytes]:
    url = f"sqlite:///{north.folder / 'registry.db'}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, "-c", _CHILD, url, str(port), now.isoformat()]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("moment", ["before the mail", "after the mail, before it is marked"])
async def test_kill_9_loses_nothing_and_gives_at_most_one_duplicate_with_the_same_id(
    north: Farm, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fire(north)
    async with mail_server() as server:
        if moment == "before the mail":
            held = asyncio.Event()

            async def hold(*_args: Any) -> str:
                server.entered.set()
                await held.wait()
                return "250 OK"

            monkeypatch.setattr(server, "handle_MAIL", hold)
        else:
            server.behaviour = "hangs"  # it has the mail, and the sender does not know
        victim = child(north, server.port, at(6))
        async with asyncio.timeout(30):
            await server.entered.wait()
        victim.send_signal(signal.SIGKILL)
        await asyncio.to_thread(victim.wait)
        taken = len(server.mails)
        assert taken == (0 if moment == "before the mail" else 1)

    async with mail_server() as server:
        smtp = Smtp(host="127.0.0.1", port=server.port, tls="none", sender="farm@example.com")
        successor = north.dispatcher({Channel.EMAIL: Email(smtp)})
        await successor.dispatch(now=at(7))  # the lease still holds
        assert server.mails == []
        await successor.dispatch(now=at(6) + LEASE)
        await successor.dispatch(now=at(9))
        (row,) = [row for row in await rows(north) if row.sent_at]
        assert [mail["Message-ID"] for mail in server.mails] == [f"<{row.id}@example.com>"]


async def test_an_outbox_for_a_channel_that_is_not_set_up_waits(north: Farm) -> None:
    await fire(north, [1])
    dispatcher = north.dispatcher({})
    assert await dispatcher.next_due() is None
    assert await dispatcher.dispatch(now=at(6)) == 0
    assert len(await north.outbox()) == 2
    text = Scripted([TryLater("away")])
    late = north.dispatcher({Channel.SMS: text})
    await late.dispatch(now=at(6) + timedelta(days=3))
    await late.dispatch(now=at(7) + timedelta(days=3))  # its 24 hours begin with the first try
    assert len(text.messages) == 1


async def test_messages_wait_for_nobody_who_left(north: Farm) -> None:
    await fire(north, [1, 2])
    async with north.database.begin() as session:
        member = await session.get_one(Member, north.member)
        await session.delete(member)
    async with north.database.read() as session:
        assert (await session.scalars(select(OutboxMessage))).all() == []
    assert M2 in [warning.machine for warning in await north.warnings()]


async def test_messages_of_other_kinds_are_left_to_whoever_knows_their_words(north: Farm) -> None:
    await fire(north)
    async with north.database.begin() as session:
        await session.execute(update(OutboxMessage).values(kind="digest"))
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    assert await dispatcher.next_due() is None
    await dispatcher.dispatch(now=at(6))
    assert (mail.messages, len(await north.outbox())) == ([], 2)
