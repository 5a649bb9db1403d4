"""Vonage's receipts under a bearer token: of just this body, lately, by whoever has our secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest

from backend.notify.sms import vonage
from backend.notify.sms.receipts import Receipt

SECRET = "a secret of at least 32 bits"
BODY = b'{"message_uuid":"aaaa","client_ref":"msg_1","status":"delivered"}'
LATER = datetime(2026, 1, 1, 12, 3, tzinfo=UTC)


def token(alg: str = "HS256", secret: str = SECRET, digest: str = "sha256", **claims: object) -> str:
    """As Vonage makes them: issued at noon, for the account `key`, of `BODY`."""
    said = {"iat": 1767268800, "jti": "1", "iss": "Vonage", "api_key": "key"}
    said |= {"payload_hash": hashlib.sha256(BODY).hexdigest()} | claims
    parts = [json.dumps(each).encode() for each in ({"alg": alg, "typ": "JWT"}, said)]
    head = ".".join(urlsafe_b64encode(each).decode().rstrip("=") for each in parts)
    signature = hmac.digest(secret.encode(), head.encode(), digest)
    return f"{head}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def is_believed(bearer: str, body: bytes = BODY, now: datetime = LATER) -> bool:
    return vonage.is_borne(SECRET, bearer, body, "key", now=now)


def test_a_bearer_token_signs_just_its_body_for_a_while() -> None:
    assert is_believed(token())
    assert is_believed(token(payload_hash=hashlib.sha256(BODY).hexdigest().upper()))
    assert is_believed(token(), now=datetime(2026, 1, 1, 11, 56, tzinfo=UTC))  # two clocks
    assert not is_believed(token(), BODY.replace(b"delivered", b"rejected"))
    assert not is_believed(token(), now=datetime(2026, 1, 1, 12, 6, tzinfo=UTC))
    assert not is_believed(token(exp=1767268860))
    assert is_believed(token(exp=1767269100))


@pytest.mark.parametrize(
    "bearer",
    [
        token(secret="another secret"),
        token(alg="none"),
        token(alg="none").rpartition(".")[0] + ".",
        token(alg="HS512", digest="sha512"),
        token(alg="HS512"),
        token(alg="RS256"),
        token(api_key="somebody else's"),
        token(payload_hash=""),
        token(iat="1767268800"),
        token(iat=True),
        token(exp=None),
        token()[:-1] + ("A" if token()[-1] != "A" else "B"),
        token().replace(".", "", 1),
        f"{token()}.{token()}",
        "",
        "..",
        "a.b.c",
        "北.京.市",
        "é" * 3,
    ],
)
def test_a_bearer_token_that_is_not_vonages_is_not_believed(bearer: str) -> None:
    assert not is_believed(bearer)


def test_what_the_messages_api_says_is_read_in_the_names_of_the_other_one() -> None:
    said = vonage.fields(
        b'{"client_ref":"msg_1","status":"undeliverable","error":{"title":1320},"usage":{"price":"1"}}'
    )
    assert (said["client-ref"], vonage.receipt(said)) == ("msg_1", Receipt("failed", "1320"))
    assert vonage.receipt(vonage.fields(BODY)) == Receipt("delivered", "")
    assert vonage.fields(b"status=failed&client-ref=msg_1&err-code=3")["err-code"] == "3"
    assert vonage.fields(b"{broken") == {}
