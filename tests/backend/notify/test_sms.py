"""SMS over a real gateway: what is posted, and what each answer means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from backend.config import Sms as Settings
from backend.notify import gsm
from backend.notify.protocol import Message, NeverDeliverable, NotConfigured, NotifierError, TryLater
from backend.notify.sms.gateway import Sms
from backend.notify.sms.twilio import Twilio
from tests.backend.notify.servers import SmsGateway, sms_gateway

MESSAGE = Message(
    id="msg_1",
    to="+12025550123",
    topic="sit_north",
    subject="",
    text="CRITICAL North: 3 & more = 北 +",
    html=None,
    created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


def to(gateway: SmsGateway, path: str = "") -> Sms:
    settings = Settings(
        url=f"http://127.0.0.1:{gateway.port}{path}", account="AC1", token=SecretStr("s3cret"), sender="+12025550100"
    )
    return Sms(Twilio(settings, None))


async def answered(status: int, body: str = "", headers: dict[str, str] | None = None) -> NotifierError:
    async with sms_gateway() as gateway:
        gateway.answer = (status, headers or {}, body)
        sms = to(gateway)
        with pytest.raises(NotifierError) as caught:
            await sms.send(MESSAGE)
        await sms.close()
    assert "2025550123" not in str(caught.value)
    assert len(gateway.forms) == 1  # once, and no redirect was followed
    return caught.value


async def test_a_text_is_posted_as_the_gateway_wants_it() -> None:
    async with sms_gateway() as gateway:
        sms = to(gateway, "/")
        await sms.send(MESSAGE)
        await sms.close()
    assert gateway.paths == ["/2010-04-01/Accounts/AC1/Messages.json"]
    assert gateway.forms == [{"To": "+12025550123", "From": "+12025550100", "Body": "CRITICAL North: 3 & more = 北 +"}]
    assert gateway.logins == ["AC1:s3cret"]
    assert gateway.keys == ["msg_1"]


@pytest.mark.parametrize(
    ("status", "body", "is_bad"),
    [
        (400, '{"code": 21211, "message": "+12025550123 is not valid"}', True),
        (400, '{"code": 21614, "message": "not a mobile number"}', True),
        (400, '{"code": 21610, "message": "recipient said STOP"}', True),
        (400, '{"message": "invalid number"}', True),
        (400, "Invalid number +12025550123", True),
        (400, '{"code": 21606, "message": "From is not a number of yours"}', False),
        (400, '{"code": 21617, "message": "too long"}', False),
        (400, "", False),
        (400, "[1, 2]", False),
    ],
)
async def test_a_400_is_a_bad_contact_only_when_the_number_is(status: int, body: str, is_bad: bool) -> None:
    error = await answered(status, body)
    assert isinstance(error, NeverDeliverable)
    assert error.is_contact_bad is is_bad


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 429, 500, 502, 503])
async def test_all_else_is_tried_later(status: int) -> None:
    error = await answered(status, "no", {"Location": "http://127.0.0.1:9/"} if status in (301, 307) else None)
    assert isinstance(error, TryLater)
    assert not error.may_have_arrived
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({"Retry-After": "120"}, 120),
        (
            {"Retry-After": "Thu, 01 Jan 2026 12:01:30 GMT", "Date": "Thu, 01 Jan 2026 12:00:00 GMT"},
            90,
        ),
        (
            {"Retry-After": "Thu, 01 Jan 2026 11:00:00 -0000", "Date": "Thu, 01 Jan 2026 12:00:00 GMT"},
            0,
        ),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
async def test_a_gateway_says_how_long_to_wait(headers: dict[str, str], after_s: float | None) -> None:
    error = await answered(429, "", headers)
    assert isinstance(error, TryLater)
    assert error.after_s == after_s


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    error = await answered(500, "x" * 5_000_000)
    assert isinstance(error, TryLater)


def test_texts_in_the_clear_are_for_this_machine_only() -> None:
    settings = {"account": "AC1", "token": SecretStr("x"), "sender": "+12025550100"}
    with pytest.raises(NotConfigured, match="https"):
        Twilio(Settings.model_validate({"url": "http://sms.example.com", **settings}), None)
    Twilio(Settings.model_validate({"url": "https://sms.example.com", **settings}), None)
    with pytest.raises(NotConfigured, match="needed"):
        Twilio(Settings(), None)


# Length.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),  # two septets each
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 151, 2),  # the euro does not fit into the first part's last septet, …
        ("a" * 152 + "€" + "a" * 152, 3),  # … and is not split: one septet is lost
        ("北" * 70, 1),
        ("北" * 71, 2),
        ("北" * 134, 2),
        ("北" * 135, 3),
        ("a" * 70 + "北", 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),  # 33 a part: the pair is not split
        ("😀" * 67, 3),
    ],
)
def test_parts_are_counted_as_they_are_charged(text: str, parts: int) -> None:
    assert gsm.parts(text) == parts


def test_typography_that_would_halve_the_room_is_written_plainly() -> None:
    assert gsm.plain("“91 °C” – it’s…\u202fhot") == '"91 C" - it\'s... hot'
    assert gsm.parts(gsm.plain("°" * 3 + "–" * 150)) == 1
