"""Gateways beside Twilio's: what is posted to them, what they answer, and what they say later."""

from __future__ import annotations

import hmac
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.config import Sms as Settings
from backend.notify.protocol import Message, NeverDeliverable, NotConfigured, NotifierError, TryLater
from backend.notify.sms import twilio, vonage
from backend.notify.sms.dry import Dry
from backend.notify.sms.gateway import Sms
from backend.notify.sms.providers import notifier
from backend.notify.sms.receipts import Receipt
from backend.notify.sms.template import Template
from backend.notify.sms.vonage import Vonage
from tests.backend.notify.servers import VonageGateway, WebGateway, http_gateway

MESSAGE = Message(
    id="msg_1",
    to="+12025550123",
    topic="sit_north",
    subject="",
    text='CRITICAL North: 3 & more = "北" {to}\nnext',
    html=None,
    created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


def of_vonage(gateway: VonageGateway) -> Sms:
    settings = Settings(
        provider="vonage",
        url=f"http://127.0.0.1:{gateway.port}",
        account="key",
        token=SecretStr("s3cret"),
        sender="+12025550100",
    )
    return Sms(Vonage(settings, "https://farm.example.com/"))


async def test_vonage_is_posted_a_form_with_our_id_and_where_to_say_what_became_of_it() -> None:
    async with http_gateway(VonageGateway) as gateway:
        sms = of_vonage(gateway)
        await sms.send(MESSAGE)
        await sms.close()
    assert gateway.paths == ["/sms/json"]
    assert gateway.forms == [
        {
            "api_key": "key",
            "api_secret": "s3cret",
            "from": "12025550100",
            "to": "12025550123",
            "text": MESSAGE.text,
            "type": "unicode",
            "client-ref": "msg_1",
            "callback": "https://farm.example.com/v1/callbacks/vonage?message=msg_1",
        }
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"messages": [{"status": "0"}, {"status": "1"}]}', None),  # sent again, the first part would come twice
        ('{"messages": [{"status": "7"}]}', (NeverDeliverable, True)),
        ('{"messages": [{"status": "3"}]}', (NeverDeliverable, False)),
        ('{"messages": [{"status": "1"}]}', (TryLater, False)),
        ('{"messages": [{"status": "4"}]}', (TryLater, False)),  # our credentials: ours to mend
        ('{"messages": [{"status": "9"}]}', (TryLater, False)),  # our quota
        ('{"messages": []}', (TryLater, False)),
        ("[]", (TryLater, False)),
        ("no JSON", (TryLater, False)),
    ],
)
async def test_vonage_says_in_the_body_what_it_means(body: str, error: tuple[type[NotifierError], bool] | None) -> None:
    async with http_gateway(VonageGateway) as gateway:
        gateway.answer = (200, {}, body)
        sms = of_vonage(gateway)
        if error is None:
            await sms.send(MESSAGE)
        else:
            with pytest.raises(error[0]) as caught:
                await sms.send(MESSAGE)
            assert getattr(caught.value, "is_contact_bad", False) is error[1]
        await sms.close()


@pytest.mark.parametrize(
    ("headers", "body", "sent"),
    [
        (
            {"Content-Type": "application/json", "Authorization": "Bearer {token}"},
            '{"to": "{to}", "text": "{text}", "from": "{from}"}',
            json.dumps({"to": MESSAGE.to, "text": MESSAGE.text, "from": "Farm"}, ensure_ascii=False),
        ),
        (
            {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer {token}"},
            "to={to}&text={text}",
            "to=%2B12025550123&text=CRITICAL+North%3A+3+%26+more+%3D+%22%E5%8C%97%22+%7Bto%7D%0Anext",
        ),
    ],
)
async def test_a_template_escapes_what_it_puts_in_as_the_place_needs_it(
    headers: dict[str, str], body: str, sent: str
) -> None:
    async with http_gateway(WebGateway) as gateway:
        settings = Settings(
            provider="http",
            url=f"http://127.0.0.1:{gateway.port}/v2/{{to}}?id={{id}}",
            token=SecretStr("s3cret"),
            sender="Farm",
            headers=headers,
            body=body,
        )
        sms = Sms(Template(settings, None))
        await sms.send(MESSAGE)
        await sms.close()
    assert gateway.paths == ["/v2/+12025550123"]
    assert gateway.headers[0]["Authorization"] == "Bearer s3cret"
    assert gateway.bodies == [sent.encode()]


async def test_a_template_cannot_be_made_to_send_another_header() -> None:
    settings = Settings(provider="http", url="http://127.0.0.1:9", headers={"X-Text": "{text}"})
    request = Template(settings, None).request(MESSAGE)
    assert request.headers["X-Text"] == 'CRITICAL North: 3 & more = "北" {to} next'


def test_a_template_names_what_there_is_and_nothing_else() -> None:
    with pytest.raises(NotConfigured, match=r"there is no \{number\}"):
        Template(Settings(provider="http", url="https://sms.example.com", body="{number}"), None)


async def test_a_dry_run_writes_each_text_to_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    made = notifier(Settings(provider="file", file=Path("texts.jsonl")), None, tmp_path)
    assert isinstance(made, Dry)
    await made.send(MESSAGE)
    await made.send(MESSAGE)
    await made.close()
    file = tmp_path / "texts.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"id": "msg_1", "to": MESSAGE.to, "text": MESSAGE.text, "parts": 1}] * 2


async def test_a_dry_run_that_cannot_write_tries_later(tmp_path: Path) -> None:
    with pytest.raises(TryLater, match="Is a directory"):
        await Dry(tmp_path).send(MESSAGE)


def test_nothing_set_up_sends_nothing_and_http_is_never_called_back(tmp_path: Path) -> None:
    assert notifier(Settings(), "https://farm.example.com", tmp_path) is None
    settings = Settings(url="https://sms.example.com", account="AC1", token=SecretStr("x"), sender="Farm")
    for public_url, is_called in (("https://farm.example.com", True), ("http://127.0.0.1:8600", False), (None, False)):
        made = notifier(settings, public_url, tmp_path)
        assert isinstance(made, Sms)
        assert (b"StatusCallback" in (made._gateway.request(MESSAGE).body or b"")) is is_called


# Receipts.


def test_twilios_signature_is_the_one_of_its_documentation() -> None:
    # https://www.twilio.com/docs/usage/security#validating-requests
    form = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309"}
    form["To"] = "+18005551212"
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio.is_signed("12345", url, form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
    assert not twilio.is_signed("12345", url, form | {"Digits": "1235"}, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
    assert not twilio.is_signed("12346", url, form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
    assert not twilio.is_signed("12345", url, form, "")


def test_vonages_signature_covers_every_field() -> None:
    params = {"status": "delivered", "err-code": "0", "client-ref": "msg_1", "text": "a=b&c", "timestamp": "1767268800"}
    signed = "&client-ref=msg_1&err-code=0&status=delivered&text=a_b_c&timestamp=1767268800"

    sig = hmac.digest(b"secret", signed.encode(), "sha256").hex()
    assert vonage.is_signed("secret", params | {"sig": sig.upper()})
    assert not vonage.is_signed("secret", params | {"sig": sig, "status": "failed"})
    assert not vonage.is_signed("secret", params)


@pytest.mark.parametrize(
    ("said", "receipt"),
    [
        ({"MessageStatus": "delivered"}, Receipt("delivered", "")),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, Receipt("failed", "30003")),
        ({"MessageStatus": "failed", "ErrorCode": "30005"}, Receipt("failed", "30005", is_contact_bad=True)),
        ({"MessageStatus": "queued"}, None),
        ({}, None),
    ],
)
def test_a_receipt_of_twilios(said: dict[str, str], receipt: Receipt | None) -> None:
    assert twilio.receipt(said) == receipt


@pytest.mark.parametrize(
    ("said", "receipt"),
    [
        ({"status": "delivered", "err-code": "0"}, Receipt("delivered", "0")),
        ({"status": "failed", "err-code": "1"}, Receipt("failed", "1")),
        ({"status": "failed", "err-code": "3"}, Receipt("failed", "3", is_contact_bad=True)),
        ({"status": "buffered", "err-code": "0"}, Receipt("sent", "0")),
        ({"status": "unknown"}, None),
    ],
)
def test_a_receipt_of_vonages(said: dict[str, str], receipt: Receipt | None) -> None:
    assert vonage.receipt(said) == receipt
