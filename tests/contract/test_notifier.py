"""What every notifier promises (`backend.notify.protocol`), over real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from backend.config import Sms as SmsSettings
from backend.config import Smtp
from backend.config import Webhook as WebhookSettings
from backend.notify.email import Email
from backend.notify.protocol import Message, NeverDeliverable, Notifier, NotifierError, TryLater
from backend.notify.sms.gateway import Sms
from backend.notify.sms.template import Template
from backend.notify.sms.twilio import Twilio
from backend.notify.sms.vonage import Vonage
from backend.notify.webhook import Webhook
from tests.backend.notify.servers import (
    Behaviour,
    Gateway,
    VonageGateway,
    WebGateway,
    http_gateway,
    mail_server,
    sms_gateway,
)


@dataclass
class Channel:
    """A notifier, and the server that it speaks to."""

    notifier: Notifier
    server: Gateway
    to: str

    def message(self, number: int = 1) -> Message:
        return Message(
            id=f"msg_{number}",
            to=self.to,
            topic="sit_north",
            subject="CRITICAL - North: Machine not hashing",
            text=f"North: message {number}\n",
            html="<p>North</p>",
            created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        )


async def email(stack: AsyncExitStack, port: int | None) -> Channel:
    server = await stack.enter_async_context(mail_server())
    settings = Smtp(host="127.0.0.1", port=port or server.port, tls="none", sender="farm@example.com")
    return Channel(Email(settings), server, "op@example.com")


async def sms(stack: AsyncExitStack, port: int | None) -> Channel:
    server = await stack.enter_async_context(sms_gateway())
    settings = SmsSettings(
        url=f"http://127.0.0.1:{port or server.port}", account="AC1", token=SecretStr("s3cret"), sender="+12025550100"
    )
    return Channel(Sms(Twilio(settings, None)), server, "+12025550123")


async def vonage(stack: AsyncExitStack, port: int | None) -> Channel:
    server = await stack.enter_async_context(http_gateway(VonageGateway))
    settings = SmsSettings(
        provider="vonage",
        url=f"http://127.0.0.1:{port or server.port}",
        account="key",
        token=SecretStr("s3cret"),
        sender="Farm",
    )
    return Channel(Sms(Vonage(settings, None)), server, "+12025550123")


async def template(stack: AsyncExitStack, port: int | None) -> Channel:
    server = await stack.enter_async_context(http_gateway(WebGateway))
    settings = SmsSettings(
        provider="http",
        url=f"http://127.0.0.1:{port or server.port}/send/{{id}}",
        headers={"X-To": "{to}", "Content-Type": "text/plain"},
        body="{text}",
        bad_number="status 410",
    )
    return Channel(Sms(Template(settings, None)), server, "+12025550123")


async def webhook(stack: AsyncExitStack, port: int | None) -> Channel:
    server = await stack.enter_async_context(http_gateway(WebGateway))
    settings = WebhookSettings(allow=("127.0.0.0/8",))
    to = f"http://127.0.0.1:{port or server.port}/hook?key=s3cret"
    return Channel(Webhook(settings, lambda: datetime(2026, 1, 1, 12, tzinfo=UTC)), server, to)


CHANNELS = {"email": email, "twilio": sms, "vonage": vonage, "http": template, "webhook": webhook}


@pytest.fixture(params=CHANNELS)
async def channel(request: pytest.FixtureRequest) -> AsyncIterator[Channel]:
    async with AsyncExitStack() as stack:
        made = await CHANNELS[request.param](stack, None)
        yield made
        await made.notifier.close()


async def refused(channel: Channel, behaviour: Behaviour) -> NotifierError:
    channel.server.behaviour = behaviour
    with pytest.raises(NotifierError) as caught:
        await channel.notifier.send(channel.message())
    assert channel.to not in str(caught.value)  # what is raised is logged and stored
    assert channel.to.partition("@")[0] not in str(caught.value)
    return caught.value


async def test_when_send_returns_the_server_has_the_message(channel: Channel) -> None:
    await channel.notifier.send(channel.message())
    assert [to for to, _ in channel.server.arrived] == [channel.to]


async def test_a_server_that_cannot_now_is_tried_later(channel: Channel) -> None:
    error = await refused(channel, "not now")
    assert isinstance(error, TryLater)
    assert not error.may_have_arrived


async def test_a_contact_that_does_not_exist_is_bad_for_good(channel: Channel) -> None:
    error = await refused(channel, "no such contact")
    assert isinstance(error, NeverDeliverable)
    assert error.is_contact_bad


async def test_a_message_that_is_refused_says_nothing_of_its_contact(channel: Channel) -> None:
    error = await refused(channel, "refuses the message")
    assert isinstance(error, NeverDeliverable)
    assert not error.is_contact_bad


async def test_a_server_that_dies_in_the_middle_may_have_taken_it(channel: Channel) -> None:
    error = await refused(channel, "dies in the middle")
    assert isinstance(error, TryLater)
    assert error.may_have_arrived


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_server_that_is_not_there_has_taken_nothing(name: str) -> None:
    nobody = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = nobody.sockets[0].getsockname()[1]
    nobody.close()
    await nobody.wait_closed()
    async with AsyncExitStack() as stack:
        channel = await CHANNELS[name](stack, port)
        error = await refused(channel, "takes")
        await channel.notifier.close()
    assert isinstance(error, TryLater)
    assert not error.may_have_arrived


async def test_a_server_that_hangs_is_left_at_the_callers_deadline_and_serves_others_meanwhile(
    channel: Channel,
) -> None:
    channel.server.behaviour = "hangs"
    hanging = asyncio.create_task(channel.notifier.send(channel.message(1)))
    async with asyncio.timeout(10):
        await channel.server.entered.wait()
        channel.server.behaviour = "takes"
        await channel.notifier.send(channel.message(2))
    assert not hanging.done()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await hanging


async def test_many_messages_at_once_all_arrive(channel: Channel) -> None:
    await asyncio.gather(*(channel.notifier.send(channel.message(number)) for number in range(20)))
    assert len({said for _, said in channel.server.arrived}) == 20


async def test_a_notifier_works_on_after_a_failure(channel: Channel) -> None:
    await refused(channel, "dies in the middle")
    channel.server.behaviour = "takes"
    channel.server.arrived.clear()
    await channel.notifier.send(channel.message())
    assert len(channel.server.arrived) == 1


async def test_closing_twice_is_fine(channel: Channel) -> None:
    await channel.notifier.send(channel.message())
    await channel.notifier.close()
    await channel.notifier.close()
