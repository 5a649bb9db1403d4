"""A webhook as a contact: verified by what it takes, sealed at rest, gone with its member."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from backend.config import Webhook as Settings
from backend.notify import verifying, webhook
from backend.notify.dispatcher import Dispatcher
from backend.notify.routing import Channel
from backend.notify.webhook import Webhook
from backend.privacy import forgetting
from backend.registry import contacts, members
from backend.registry.account_tables import Member
from backend.registry.errors import Invalid
from backend.registry.notify_tables import Contact, OutboxMessage
from tests.backend.farm import Farm
from tests.backend.notify.sending import fire
from tests.backend.notify.servers import WebGateway, http_gateway
from tests.backend.readings import at


@pytest.fixture
async def hook() -> AsyncIterator[WebGateway]:
    async with http_gateway(WebGateway) as made:
        yield made


def dispatcher(north: Farm) -> Dispatcher:
    return north.dispatcher({Channel.WEBHOOK: Webhook(Settings(allow=("127.0.0.0/8",)), lambda: at(6))})


async def added(north: Farm, hook: WebGateway, member: str = "", path: str = "hook") -> Contact:
    """One that is asked to show that it is there."""
    async with north.database.begin() as session:
        owner = await session.get_one(Member, member or north.member)
        url = contacts.webhook_url(f"http://127.0.0.1:{hook.port}/{path}")
        made = await contacts.add(session, owner, "webhook", url, "pager", now=at(0))
        assert await verifying.ask(session, made, now=at(0))
    return made


async def stored(north: Farm, contact: Contact) -> Contact | None:
    async with north.database.read() as session:
        return await session.get(Contact, contact.id)


async def test_a_webhook_is_verified_by_taking_a_signed_message_without_an_alert(north: Farm, hook: WebGateway) -> None:
    contact = await added(north, hook)
    await fire(north)
    await dispatcher(north).dispatch(now=at(5))
    [ping], [headers] = hook.bodies, hook.headers
    said = json.loads(ping)
    assert (said["alerts"], said["status"], said["receiver"]) == ([], "resolved", "pager")  # and wakes nobody
    assert contact.secret
    assert headers[webhook.SIGNATURE] == webhook.signature(contact.secret, ping, at(6))
    now_known = await stored(north, contact)
    assert now_known
    assert now_known.verified_at == at(5)
    await dispatcher(north).dispatch(now=at(6))  # what was there to tell when it was verified
    assert [alert["labels"]["alertname"] for alert in json.loads(hook.bodies[1])["alerts"]] == ["machine_not_hashing"]


@pytest.mark.parametrize("status", [500, 302, 401, 429])
async def test_a_webhook_that_does_not_take_it_is_told_nothing_and_forgotten_to_be_asked_after_a_day(
    north: Farm, hook: WebGateway, status: int
) -> None:
    hook.answer = (status, {"Location": "/elsewhere"}, "")
    contact = await added(north, hook)
    await fire(north)
    for minute in (1, 6, 20):
        await dispatcher(north).dispatch(now=at(minute))
    assert all(json.loads(body)["alerts"] == [] for body in hook.bodies)
    unknown = await stored(north, contact)
    assert unknown
    assert unknown.verified_at is None
    hook.answer = None
    asked = len(hook.bodies)
    await dispatcher(north).dispatch(now=at(0) + timedelta(hours=24))
    assert len(hook.bodies) == asked
    async with north.database.read() as session:
        assert (await session.scalars(select(OutboxMessage).where(OutboxMessage.kind == "notice"))).all() == []


async def test_asked_again_it_is_pinged_at_once_and_once(north: Farm, hook: WebGateway) -> None:
    hook.answer = (503, {"Retry-After": "3600"}, "")
    contact = await added(north, hook)
    await dispatcher(north).dispatch(now=at(0))
    hook.answer = None
    async with north.database.begin() as session:
        assert await verifying.ask(session, await session.get_one(Contact, contact.id), now=at(2))
    await dispatcher(north).dispatch(now=at(2))
    assert len(hook.bodies) == 2
    now_known = await stored(north, contact)
    assert now_known
    assert now_known.verified_at == at(2)


async def test_neither_address_nor_secret_of_a_webhook_is_readable_on_the_disk(north: Farm, hook: WebGateway) -> None:
    contact = await added(north, hook, path="integration/f00dcafe/enqueue")
    await dispatcher(north).dispatch(now=at(5))
    assert contact.secret
    await north.database.close()
    for file in north.folder.glob("registry.db*"):
        data = file.read_bytes()
        assert b"f00dcafe" not in data
        assert contact.secret.encode() not in data


async def test_a_webhook_goes_with_its_member_and_so_do_its_messages(north: Farm, hook: WebGateway) -> None:
    async with north.database.begin() as session:
        leaving = await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
    contact = await added(north, hook, leaving.id)
    await dispatcher(north).dispatch(now=at(1))
    await fire(north)
    async with north.database.begin() as session:
        counts = await forgetting.member(session, north.account, leaving.id)
    assert counts["contacts"] == 2  # their own address, and the webhook
    assert await stored(north, contact) is None
    asked = len(hook.bodies)
    await dispatcher(north).dispatch(now=at(6))
    assert len(hook.bodies) == asked
    async with north.database.read() as session:
        left = await session.scalars(select(OutboxMessage).where(OutboxMessage.member_id == leaving.id))
        assert left.all() == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hook.example.com/x",
        "https://",
        "https:///path",
        "https://user@hook.example.com/",
        "https://user:pass@hook.example.com/",
        "https://hook.example.com\\@127.0.0.1/",
        "https://hook.example.com/#part",
        "https://hook.example.com:0/",
        "https://hook.example.com:99999/",
        "https://[::1/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        f"https://hook.example.com/{'x' * 300}",
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        contacts.webhook_url(url)


# A member's own address and phone.


async def test_a_new_address_of_a_member_forgets_what_the_old_one_failed_at(north: Farm) -> None:
    async with north.database.begin() as session:
        member = await session.get_one(Member, north.member)
        for row in await session.scalars(select(Contact)):
            row.failed_at, row.failure = at(1), "550 5.1.1"
        member.phone_failed_at = at(1)  # the phone's failure stands: the address alone is another one
        await contacts.renew_own(session, member, now=at(2))
    async with north.database.read() as session:
        found = {row.channel: (row.failed_at, row.failure) for row in await session.scalars(select(Contact))}
    assert found == {"email": (None, None), "sms": (at(1), "550 5.1.1")}


async def test_a_first_phone_of_a_member_is_a_contact_of_theirs_once(north: Farm) -> None:
    async with north.database.begin() as session:
        made = await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
        made.phone, made.phone_verified_at = "+12025550199", at(1)
        for _ in range(2):
            await contacts.renew_own(session, made, now=at(2))
        rows = await session.scalars(select(Contact).where(Contact.member_id == made.id).order_by(Contact.channel))
        assert [(row.channel, row.severity) for row in rows] == [("email", "warning"), ("sms", "critical")]
