"""Each failure of a real server, from the outbox through the dispatcher and back: what becomes of the message, of its
contact and of what it was to tell.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from backend.config import Sms as SmsSettings
from backend.config import Smtp
from backend.config import Webhook as WebhookSettings
from backend.notify.dispatcher import Dispatcher
from backend.notify.email import Email
from backend.notify.protocol import Notifier
from backend.notify.routing import Channel
from backend.notify.sms.gateway import Sms
from backend.notify.sms.twilio import Twilio
from backend.notify.webhook import Webhook
from backend.registry import contacts
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact, OutboxMessage
from tests.backend.farm import Farm, hashing, rounds
from tests.backend.notify.sending import fire, rows
from tests.backend.notify.servers import (
    Authority,
    Gateway,
    WebGateway,
    http_gateway,
    mail_server,
    sms_gateway,
)
from tests.backend.readings import at


@dataclass
class Line:
    """One channel, from the outbox to its server."""

    north: Farm
    channel: Channel
    server: Any
    dispatcher: Dispatcher
    hasty: Dispatcher  # the same, but that it soon gives a server up that does not answer

    async def dispatch(self, now: datetime) -> None:
        dispatcher = self.hasty if self.server.behaviour == "hangs" else self.dispatcher
        await dispatcher.dispatch(now=now)

    async def first(self) -> OutboxMessage:
        """The message about what fired."""
        return min(await rows(self.north, self.channel), key=lambda row: row.created_at)

    async def open(self) -> list[OutboxMessage]:
        return [row for row in await rows(self.north, self.channel) if row.sent_at is None and row.failed_at is None]

    async def contact(self) -> Contact:
        async with self.north.database.read() as session:
            found = await session.scalars(select(Contact).where(Contact.channel == self.channel.value))
            return found.one()

    def ids(self) -> list[str]:
        """Under which the messages arrived."""
        match self.channel:
            case Channel.EMAIL:
                return [mail["Message-ID"].strip("<>").partition("@")[0] for mail in self.server.mails]
            case Channel.SMS:
                return [each["Idempotency-Key"] for each in self.server.headers]
        return [each["X-ItsMiner-Message"] for each in self.server.headers]


Make = Callable[[Farm, AsyncExitStack, ssl.SSLContext], Any]


async def email(north: Farm, stack: AsyncExitStack, tls: ssl.SSLContext) -> tuple[Gateway, Notifier]:
    server = await stack.enter_async_context(mail_server(tls))
    return server, Email(Smtp(host="127.0.0.1", port=server.port, tls="starttls", sender="farm@example.com"))


async def sms(north: Farm, stack: AsyncExitStack, tls: ssl.SSLContext) -> tuple[Gateway, Notifier]:
    server = await stack.enter_async_context(sms_gateway())
    url = f"http://127.0.0.1:{server.port}"
    settings = SmsSettings(url=url, account="AC1", token=SecretStr("s3cret"), sender="+12025550100")
    return server, Sms(Twilio(settings, None))


async def webhook(north: Farm, stack: AsyncExitStack, tls: ssl.SSLContext) -> tuple[Gateway, Notifier]:
    server = await stack.enter_async_context(http_gateway(WebGateway))
    async with north.database.begin() as session:
        member = await session.get_one(Member, north.member)
        url = f"http://127.0.0.1:{server.port}/hook"
        made = await contacts.add(session, member, "webhook", url, "", now=at(0))
        made.verified_at = at(0)
    return server, Webhook(WebhookSettings(allow=("127.0.0.0/8",)), lambda: at(6))


MAKERS = {Channel.EMAIL: email, Channel.SMS: sms, Channel.WEBHOOK: webhook}


@pytest.fixture(params=MAKERS)
async def line(request: pytest.FixtureRequest, north: Farm, certificate: Authority) -> AsyncIterator[Line]:
    """Something critical is to be told by this channel, at 5:30."""
    channel: Channel = request.param
    async with AsyncExitStack() as stack:
        server, notifier = await MAKERS[channel](north, stack, certificate("127.0.0.1"))
        stack.push_async_callback(notifier.close)
        await fire(north)
        patient, hasty = (north.dispatcher({channel: notifier}, deadline_s=limit_s) for limit_s in (30, 1))
        yield Line(north, channel, server, patient, hasty)


async def test_a_server_that_takes_it_is_sent_it_once(line: Line) -> None:
    for minute in (6, 7, 9):
        await line.dispatch(at(minute))
    first = await line.first()
    assert (first.sent_at, first.failed_at, first.attempts, first.last_error) == (at(6), None, 1, None)
    assert (line.ids(), first.claimed_until) == ([first.id], None)


async def test_what_a_server_cannot_take_now_is_sent_when_it_can_under_the_same_id(line: Line) -> None:
    line.server.behaviour = "not now"
    now, pauses_s = at(6), []
    for attempt in (1, 2, 3):
        await line.dispatch(now)
        waiting = await line.first()
        assert (waiting.attempts, waiting.sent_at, waiting.failed_at, waiting.body) == (attempt, None, None, {})
        assert waiting.last_error
        pauses_s.append((waiting.due_at - now).total_seconds())
        now = waiting.due_at
    assert [base * 0.5 <= pause <= base for base, pause in zip((15, 30, 60), pauses_s, strict=True)] == [True] * 3
    line.server.behaviour = "takes"
    await line.dispatch(now - timedelta(seconds=1))
    assert (await line.first()).sent_at is None
    await line.dispatch(now)
    sent = await line.first()
    assert (sent.id, sent.sent_at, sent.attempts, sent.last_error) == (waiting.id, now, 4, None)
    assert (await line.contact()).failed_at is None
    assert set(line.ids()) == {sent.id}
    assert len(line.server.arrived) == 1


@pytest.mark.parametrize("ending", ["dies in the middle", "hangs"])
async def test_what_may_have_arrived_is_sent_once_more_as_it_was(line: Line, ending: Any) -> None:
    line.server.behaviour = ending
    await line.dispatch(at(6))
    unknown = await line.first()
    assert (unknown.sent_at, unknown.failed_at, unknown.claimed_until, unknown.attempts) == (None, None, None, 1)
    assert unknown.body["new"]
    await line.north.judge(line.north.engine(), rounds(hashing, [1], range(6, 11)))  # it is over, and told all the same
    line.server.behaviour = "takes"
    await line.dispatch(at(11))
    await line.dispatch(at(12))
    sent = await line.first()
    assert (sent.sent_at, sent.attempts, sent.body["new"]) == (at(11), 2, unknown.body["new"])
    assert line.ids() == [sent.id] * 2
    await line.dispatch(at(17))
    assert len(set(line.ids())) == 2  # that it is over is another message


async def test_a_message_that_is_refused_is_not_sent_again_and_what_it_told_is_told_later(line: Line) -> None:
    line.server.behaviour = "refuses the message"
    await line.dispatch(at(6))
    refused, [fresh] = await line.first(), await line.open()
    assert (refused.failed_at, refused.sent_at, refused.attempts) == (at(6), None, 1)
    assert refused.last_error
    assert (await line.contact()).failed_at is None
    line.server.behaviour = "takes"
    await line.dispatch(at(60))
    assert fresh.due_at == at(6 + 240 + 5)  # as a reminder of what could not be said, and not every five minutes
    await line.dispatch(fresh.due_at)
    assert line.ids()[-1] == fresh.id


async def test_a_contact_that_is_gone_is_marked_and_gets_nothing_more(line: Line) -> None:
    line.server.behaviour = "no such contact"
    await line.dispatch(at(6))
    bounced, contact = await line.first(), await line.contact()
    assert (bounced.failed_at, bounced.sent_at) == (at(6), None)
    assert (contact.failed_at, contact.failure) == (at(6), bounced.last_error)
    line.server.behaviour = "takes"
    asked = len(line.ids())
    await fire(line.north, [2, 3])
    for minute in range(7, 30):
        await line.dispatch(at(minute))
    told = [row for row in await line.open() if row.kind == "warnings"]
    assert (told, len(line.ids()) - asked) == ([], 0)


async def test_after_24_hours_of_failures_it_is_given_up_and_told_anew(line: Line) -> None:
    line.server.behaviour = "not now"
    await line.dispatch(at(6))
    expires_at = (await line.first()).expires_at
    assert expires_at == at(6) + timedelta(hours=24)
    async with line.north.database.begin() as session:  # of the fifty tries in between, the last one
        row = await session.get_one(OutboxMessage, (await line.first()).id)
        row.due_at, row.attempts = expires_at - timedelta(minutes=5), 50
    await line.dispatch(row.due_at)
    given_up = await line.first()
    assert (given_up.failed_at, given_up.sent_at, given_up.attempts) == (row.due_at, None, 51)
    assert given_up.last_error
    [fresh] = await line.open()
    line.server.behaviour = "takes"
    await line.dispatch(max(row.due_at, fresh.due_at))
    assert line.ids()[-1] == fresh.id != given_up.id


HTTP: tuple[tuple[int, dict[str, str], str, float | None], ...] = (
    (429, {"Retry-After": "120"}, "{}", 120),
    (500, {"Retry-After": "soon"}, "<html>an error</html>", None),
    (301, {"Location": "http://127.0.0.1:1/elsewhere"}, "", None),
)


@pytest.mark.parametrize("line", [Channel.SMS, Channel.WEBHOOK], indirect=True)
@pytest.mark.parametrize(("status", "headers", "body", "wish_s"), HTTP)
async def test_a_status_of_a_gateway_puts_it_off_for_as_long_as_it_asks(
    line: Line, status: int, headers: dict[str, str], body: str, wish_s: float | None
) -> None:
    line.server.answer = (status, headers, body)
    await line.dispatch(at(6))
    waiting = await line.first()
    assert (waiting.sent_at, waiting.failed_at, waiting.attempts) == (None, None, 1)
    assert str(status) in (waiting.last_error or "")
    pause_s = (waiting.due_at - at(6)).total_seconds()
    assert pause_s == wish_s if wish_s else 7.5 <= pause_s <= 15
    line.server.answer = None
    await line.dispatch(waiting.due_at)
    assert (await line.first()).sent_at == waiting.due_at


@pytest.mark.parametrize("line", [Channel.EMAIL], indirect=True)
@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL", "451 4.1.8 the sender's domain is not found now"),
        ("RCPT", "550 5.7.1 relaying denied"),
        ("DATA", "452 4.3.1 no room"),
    ],
)
async def test_what_a_mail_server_says_about_itself_or_us_puts_it_off(line: Line, command: str, reply: str) -> None:
    line.server.replies[command] = reply
    await line.dispatch(at(6))
    waiting = await line.first()
    assert (waiting.sent_at, waiting.failed_at, waiting.body) == (None, None, {})
    assert reply[:3] in (waiting.last_error or "")
    line.server.replies.clear()
    await line.dispatch(waiting.due_at)
    assert (await line.first()).sent_at == waiting.due_at
    assert (await line.contact()).failed_at is None


@pytest.mark.parametrize("line", [Channel.EMAIL], indirect=True)
async def test_a_mail_server_that_is_away_and_comes_back_gets_each_mail_once(line: Line) -> None:
    nobody = Smtp(host="127.0.0.1", port=1, tls="starttls", sender="farm@example.com")
    await line.north.dispatcher({Channel.EMAIL: Email(nobody)}).dispatch(now=at(6))
    waiting = await line.first()
    assert "no connection" in (waiting.last_error or "")
    await line.dispatch(waiting.due_at)
    await line.dispatch(at(8))
    assert line.ids() == [waiting.id]
