"""Codes of authenticator apps, against RFC 6238's own."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from backend.accounts import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("time_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_rfc(time_s: int, code: str) -> None:
    now = datetime.fromtimestamp(time_s, UTC)
    assert totp.code(SECRET, totp.step(now)) == code
    assert totp.accepted(SECRET, f"{code[:3]} {code[3:]}", after=0, now=now) == totp.step(now)


def test_a_clock_may_be_a_step_off_and_no_more() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    code = totp.code(SECRET, totp.step(now))
    accepted = [
        totp.accepted(SECRET, code, after=0, now=now + timedelta(seconds=30 * steps)) is not None
        for steps in (-2, -1, 0, 1, 2)
    ]
    assert accepted == [False, True, True, True, False]


def test_a_code_is_good_once() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    step = totp.step(now)
    assert totp.accepted(SECRET, totp.code(SECRET, step), after=step, now=now) is None
    assert totp.accepted(SECRET, "ä" * 6, after=0, now=now) is None
