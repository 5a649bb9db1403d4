"""Times and durations in query strings, as people and as Grafana write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema

_UNITS_S: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _moment(value: Any) -> Any:
    """Milliseconds since 1970 (Grafana's `${__from}`) as a time; the rest is ISO 8601 with its zone."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,15}", value):
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))
        except OverflowError as error:
            raise ValueError("there is no such time") from error
    if isinstance(value, str):
        return value.replace(" ", "+")  # a + that was not escaped arrives as a space
    return value


def _duration(value: Any) -> Any:
    """`90`, `90s`, `5m`, `500ms` as a duration."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,6})?)(ms|s|m|h|d)?", value)
        if match is None:
            raise ValueError("write it as 90, 90s, 5m, 1h or 1d")
        return timedelta(seconds=float(match[1]) * _UNITS_S[match[2] or "s"])
    return value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "description": "ISO 8601 with zone, or milliseconds since 1970"}),
]
Duration = Annotated[
    timedelta,
    Field(ge=timedelta(seconds=1), le=timedelta(days=366)),
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "description": "seconds, or with a unit: 90s, 5m, 1h, 1d"}),
]
