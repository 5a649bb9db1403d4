"""Time-based one-time passwords (RFC 6238): six digits, HMAC-SHA1, steps of 30 s, as every authenticator app does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

STEP_S: Final = 30
_DIGITS: Final = 6
_DRIFT: Final = 1  # steps that a phone's clock may be off, either way


def new_secret() -> str:
    """160 bits in base32, as RFC 4226 recommends."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def uri(secret: str, *, issuer: str, name: str) -> str:
    """What an app reads from a QR code (otpauth key URI)."""
    query = urlencode({"secret": secret, "issuer": issuer, "digits": _DIGITS, "period": STEP_S}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{query}"


def code(secret: str, step: int) -> str:
    """The code of a step."""
    mac = hmac.new(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def step(now: datetime) -> int:
    """The step of a time."""
    return int(now.timestamp()) // STEP_S


def accepted(secret: str, presented: str, *, after: int, now: datetime) -> int | None:
    """The step whose code this is; None when it is none's, or one's that was used already (≤ `after`)."""
    digits = presented.replace(" ", "")
    found = None
    for each in range(step(now) - _DRIFT, step(now) + _DRIFT + 1):
        if hmac.compare_digest(code(secret, each).encode(), digits.encode()) and each > after:
            found = each
    return found
