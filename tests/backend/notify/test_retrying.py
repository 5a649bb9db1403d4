"""What cannot be sent now is sent later, under the same id."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry

from backend.notify.claims import LEASE
from backend.notify.dispatcher import DEADLINE_S, pause_s
from backend.notify.email import OPENING_S
from backend.notify.protocol import TryLater
from backend.notify.routing import Channel
from tests.backend.farm import M1, Farm, gone, hashing, rounds
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.sending import counted, fire, rows
from tests.backend.readings import at


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
    assert mail.subjects == ["CRITICAL - North: Machine not hashing, Machine offline, since 12:00 UTC"]


async def test_a_message_that_may_have_arrived_is_sent_again_with_what_it_told(north: Farm) -> None:
    await fire(north)
    mail = Scripted([TryLater("no answer", may_have_arrived=True)])
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    await dispatcher.dispatch(now=at(6))
    await north.judge(north.engine(), rounds(hashing, [1], range(6, 11)))
    await dispatcher.dispatch(now=at(11))
    assert mail.subjects == [f"CRITICAL - North: Machine not hashing: {M1}, since 12:00 UTC"]
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
    assert mail.subjects == [f"CRITICAL - North: Machine not hashing: {M1}, since 1 Jan, 12:00 UTC"]
