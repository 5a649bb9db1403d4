"""P12: warnings reach members by e-mail and SMS, through contacts that they verified, and through no others."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.message import EmailMessage
from urllib.parse import parse_qs

from sqlalchemy import select

from agent.wire import Board
from backend.privacy import links
from backend.registry.notify_tables import OutboxMessage
from tests.backend.readings import batch, reading
from tests.promises.deployed import Customer, Service, until


async def overheat(service: Service, customer: Customer) -> None:
    """A chip at 120 °C for a while: critical."""
    for _ in range(3):
        now = service.now()
        found = [reading(1, now, boards=(Board(index=0, chip_temp_c=120),))]
        assert (await service.send(batch(found, site=customer.site, sent_at=now), customer.agent)).status == 200
        service.ahead += timedelta(minutes=1)


def words(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    plain = mail.get_body(("plain",))
    assert isinstance(plain, EmailMessage)
    return str(plain.get_content())


def about(service: Service, text: str, count: int = 1) -> Callable[[], Awaitable[list[EmailMessage]]]:
    """Wait for so many mails that say this."""

    async def arrived() -> list[EmailMessage]:
        found = [mail for mail in service.mail.mails if text in mail["Subject"] or text in words(mail)]
        return found if len(found) >= count else []

    return arrived


async def test_a_contact_is_told_once_it_is_verified_and_not_before(service: Service) -> None:
    customer = await service.customer()
    added = await service.done("/v1/contacts", customer.session, channel="email", address="Second@North.example")
    [asked] = await until(about(service, "send warnings to this address?"))
    assert asked["To"] == "second@north.example"
    await overheat(service, customer)
    [first] = await until(about(service, "Chip too hot"))
    assert first["To"] == customer.email

    link = re.search(r"/confirm#contact_email=(\S+)", words(asked))
    assert link
    for token, status in ((f"{link[1][:-4]}AAAA", 403), (link[1], 204), (link[1], 403)):
        assert (await service.ask("POST", "/v1/contacts/confirm", json={"token": token})).status == status
    both = await until(about(service, "Chip too hot", 2))
    assert {mail["To"] for mail in both} == {customer.email, "second@north.example"}
    [shown] = [
        one
        for one in (await service.seen("/v1/contacts", customer.session))["contacts"]
        if one["contact_id"] == added["contact_id"]
    ]
    assert (shown["is_verified"], shown["works"]) == (True, True)


async def test_a_phone_is_verified_by_its_code_with_few_tries(service: Service) -> None:
    customer = await service.customer()
    added = await service.done("/v1/contacts", customer.session, channel="sms", address="+1 415 555 0199")
    contact = added["contact_id"]

    async def code() -> str:
        found = [re.match(r"\d{6}", text) for text in service.sms.texts]
        return found[0][0] if found and found[0] else ""

    right = await until(code)
    wrong = f"{(int(right) + 1) % 10**6:06}"
    refused = await service.post("/v1/contacts/verify", customer.session, contact_id=contact, code=wrong)
    assert refused.status == 403
    await service.done("/v1/contacts/verify", customer.session, contact_id=contact, code=right)
    again = await service.post("/v1/contacts/verify", customer.session, contact_id=contact, code=right)
    assert again.status == 403
    await service.done("/v1/contacts/change", customer.session, contact_id=contact, severity="none")
    await overheat(service, customer)
    await until(about(service, "Chip too hot"))
    assert {parse_qs(raw.decode())["To"][0] for raw in service.sms.raw[1:]} <= {"+14155550123"}


async def test_the_link_in_a_message_acknowledges_by_its_button_and_not_by_being_followed(service: Service) -> None:
    customer = await service.customer()
    await overheat(service, customer)
    [mail] = await until(about(service, "Chip too hot"))
    found = re.search(r"I take care of it: (\S+)", words(mail))
    assert found
    path = found[1].removeprefix(service.url)
    page = await service.ask("GET", path)
    assert page.status == 200
    assert b"<form method" in page.body
    assert "Chip too hot: mnr\u2011" in page.body.decode()
    assert b"contact@itsminer.example" in page.body
    [warning] = (await service.seen("/v1/warnings", customer.read))["warnings"]
    assert "acknowledged_at" not in warning
    assert (await service.ask("POST", path)).status == 200
    [warning] = (await service.seen("/v1/warnings", customer.read))["warnings"]
    assert warning["acknowledged_at"]
    assert b"<form" not in (await service.ask("GET", path)).body  # there is nothing left to press
    forged = path[:-1] + ("0" if path[-1] != "0" else "1")
    assert (await service.ask("POST", forged)).status == 404
    service.ahead += timedelta(days=7)
    assert (await service.ask("POST", path)).status == 404


async def test_one_click_ends_digests_and_no_warning(service: Service) -> None:
    customer = await service.customer()
    await overheat(service, customer)
    await until(about(service, "Chip too hot"))
    [own] = [
        one for one in (await service.seen("/v1/contacts", customer.session))["contacts"] if one["channel"] == "email"
    ]
    assert own["digests"] == "daily"

    token = links.token(service.database.keys, "digest", own["contact_id"])
    path = f"/v1/digest/stop?token={token}"
    assert b"<form" in (await service.ask("GET", path)).body
    assert (await service.ask("POST", path, data={"List-Unsubscribe": "One-Click"})).status == 200
    [own] = [
        one for one in (await service.seen("/v1/contacts", customer.session))["contacts"] if one["channel"] == "email"
    ]
    assert (own["digests"], own["severity"], own["works"]) == ("none", "warning", True)
    assert (await service.ask("POST", path[:-1] + "~")).status == 404


async def test_what_the_gateway_says_of_a_text_is_believed_when_it_is_signed(service: Service) -> None:
    customer = await service.customer()
    await overheat(service, customer)

    async def text() -> str | None:
        async with service.database.read() as session:
            found: str | None = await session.scalar(
                select(OutboxMessage.id).where(OutboxMessage.channel == "sms", OutboxMessage.sent_at.is_not(None))
            )
            return found

    message = await until(text)
    path = f"/v1/callbacks/twilio?message={message}"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    signed = f"{service.url}{path}MessageSidSM1MessageStatusdelivered"
    signature = b64encode(hmac.digest(b"not-a-secret", signed.encode(), "sha1")).decode()
    assert (await service.ask("POST", path, data=form)).status == 403
    other = {"MessageSid": "SM1", "MessageStatus": "failed"}
    headers = {"X-Twilio-Signature": signature}
    assert (await service.ask("POST", path, data=other, headers=headers)).status == 403
    assert (await service.ask("POST", path, data=form, headers=headers)).status == 204
    async with service.database.read() as session:
        row = await session.get_one(OutboxMessage, message)
    assert row.delivery == "delivered"
