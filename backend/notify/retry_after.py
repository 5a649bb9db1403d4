"""`Retry-After`: for how long a server asks to be left alone (RFC 9110, 10.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def wish_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, or a date that counts from the answer's own; None when nothing is asked for."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    until, sent = _date(value), _date(headers.get("Date", ""))
    return max(0.0, (until - sent).total_seconds()) if until and sent else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
