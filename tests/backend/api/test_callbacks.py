"""`/v1/callbacks/…`: what a gateway says of a text counts when it is signed, and is about that text."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

import pytest
from sqlalchemy import select

from backend.notify.outbox import new_row
from backend.registry import members
from backend.registry.notify_tables import Contact, OutboxMessage
from tests.backend.api.conftest import Served
from tests.backend.notify.test_vonage_tokens import token
from tests.backend.readings import NOW

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IAT = int(NOW.timestamp())


@pytest.fixture
async def text(served: Served) -> str:
    """The id of a text that left."""
    async with served.services.database.begin() as session:
        await members.add(
            session, served.ours.account, email="op@example.com", phone="+12025550123", verified=True, now=NOW
        )
        contact = (await session.scalars(select(Contact).where(Contact.channel == "sms"))).one()
        row = new_row(served.ours.site, contact, due_at=NOW, now=NOW)
        session.add(OutboxMessage(**(row | {"sent_at": NOW})))
    return str(row["id"])


async def delivery(served: Served, text: str) -> str | None:
    async with served.services.database.read() as session:
        return (await session.get_one(OutboxMessage, text)).delivery


async def said(served: Served, path: str, body: str, **headers: str) -> int:
    return (await served.ask("POST", path, data=body.encode(), headers=FORM | headers)).status


async def test_twilio_signs_the_address_and_the_form(served: Served, text: str) -> None:
    path = f"/v1/callbacks/twilio?message={text}"
    mac = hmac.digest(b"s3cret", f"{path}MessageStatusdelivered".encode(), "sha1")
    signature = b64encode(mac).decode()
    for body, headers in (
        ("MessageStatus=delivered", {}),
        ("MessageStatus=failed", {"X-Twilio-Signature": signature}),
        ("MessageStatus=delivered&x=1", {"X-Twilio-Signature": signature}),
    ):
        assert await said(served, path, body, **headers) == 403
    assert await said(served, f"{path}x", "MessageStatus=delivered", **{"X-Twilio-Signature": signature}) == 403
    assert await delivery(served, text) is None
    assert await said(served, path, "MessageStatus=delivered", **{"X-Twilio-Signature": signature}) == 204
    assert await delivery(served, text) == "delivered"


async def test_vonage_signs_all_fields(served: Served, text: str) -> None:
    path = f"/v1/callbacks/vonage?message={text}"
    secret = served.services.settings.sms.signature_secret
    assert secret
    mac = hmac.digest(secret.get_secret_value().encode(), f"&client-ref={text}&status=delivered".encode(), "sha256")
    for body in (
        f"client-ref={text}&status=delivered",
        f"client-ref={text}&status=failed&sig={mac.hex()}",
        f"client-ref=msg_other&status=delivered&sig={mac.hex()}",
    ):
        assert await said(served, path, body) == 403
    other = f"/v1/callbacks/vonage?message={text}x"
    assert await said(served, other, f"client-ref={text}&status=delivered&sig={mac.hex()}") == 403
    assert await said(served, path, f"client-ref={text}&status=delivered&sig={mac.hex()}") == 204
    assert await delivery(served, text) == "delivered"


async def test_vonages_bearer_token_signs_the_body(served: Served, text: str) -> None:
    path = f"/v1/callbacks/vonage?message={text}"
    body = f'{{"client_ref":"{text}","status":"delivered"}}'
    payload_hash = hashlib.sha256(body.encode()).hexdigest()
    right = token(iat=IAT, payload_hash=payload_hash)
    assert await said(served, path, body.replace("delivered", "rejected"), Authorization=f"Bearer {right}") == 403
    assert await said(served, f"{path}x", body, Authorization=f"Bearer {right}") == 403
    unsigned = token(alg="none", iat=IAT, payload_hash=payload_hash)
    assert await said(served, path, body, Authorization=f"Bearer {unsigned}") == 403
    old = token(iat=IAT - 301, payload_hash=payload_hash)
    assert await said(served, path, body, Authorization=f"Bearer {old}") == 403
    assert await said(served, path, body) == 403
    assert await delivery(served, text) is None
    assert await said(served, path, body, Authorization=f"Bearer {right}") == 204
    assert await delivery(served, text) == "delivered"
