"""What a machine says poll by poll, as scenario files write it.

A series is items parted by spaces: V is one poll, VxN are N polls, V+DxN are N polls that rise by D (or fall). "_": the
machine does not answer; "-": it answers and says nothing of this field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

UNANSWERED: Final = "_"
LONGEST: Final = 100_000
"""Polls of one item: two months of minutes."""

Value = float | bool | tuple[int, ...] | tuple[str, ...] | None
"""Of one field in one poll; None: missing."""


class Polls:
    """What a machine says, poll by poll; after the end its last poll repeats."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Of series as they are written, by field. Raises `ValueError` where one cannot be read."""
        series = {name: _series(name, text) for name, text in texts.items()}
        lengths = {len(values) for values in series.values() if not isinstance(values, Constant)}
        if len(lengths) > 1:
            counts = ", ".join(f"{name} {len(values)}" for name, values in series.items())
            raise ValueError(f"series of one machine have one length: {counts}")
        self._series = series
        self._length = max(lengths, default=1)

    def at(self, number: int) -> Mapping[str, Value] | None:
        """The fields of a poll, those that are missing left out; None when the machine does not answer."""
        found: dict[str, Value] = {}
        for name, values in self._series.items():
            value = values[0] if isinstance(values, Constant) else values[min(number, self._length - 1)]
            if value == UNANSWERED:
                return None
            if value is not None and not isinstance(value, str):
                found[name] = value
        return found


class Constant(list[Value | str]):
    """A series of one value, for as many polls as there are."""


def _series(name: str, text: str) -> Sequence[Value | str]:
    kind = _FIELDS.get(name)
    if kind is None:
        raise ValueError(f"there is no field {name}; there are {', '.join(sorted(_FIELDS))}")
    items = text.split()
    if not items:
        raise ValueError(f"{name}: the series is empty")
    values = [value for item in items for value in _item(name, item, kind)]
    is_constant = len(items) == 1 and _COUNT.search(items[0]) is None
    return Constant(values) if is_constant else values


def _item(name: str, item: str, kind: Callable[[str], Value]) -> Sequence[Value | str]:
    """V, VxN or V+DxN."""
    counted = _COUNT.search(item)
    text, count = (item[: counted.start()], int(counted[1])) if counted else (item, 1)
    if not 1 <= count <= LONGEST:
        raise ValueError(f"{name}: {item} is no poll at all, or more than {LONGEST:,}")
    if text == UNANSWERED:
        return [UNANSWERED] * count
    if text == "-":
        return [None] * count
    try:
        if kind is float and (ramp := _RAMP.fullmatch(text)) and counted:
            return [float(ramp[1]) + step * float(ramp[2]) for step in range(count)]
        return [kind(text)] * count
    except ValueError as error:
        raise ValueError(f"{name}: {item} cannot be read: {_WRITTEN[kind]}") from error


_COUNT: Final = re.compile(r"x(\d+)$")
_RAMP: Final = re.compile(r"(-?\d+(?:\.\d+)?)\+(-?\d+(?:\.\d+)?)")


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _fans(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(text.split(","))
    if not all(_CODE.fullmatch(code) for code in codes):
        raise ValueError(text)
    return codes


_CODE: Final = re.compile(r"[a-z0-9_]{1,24}:[A-Za-z0-9_.-]{1,24}")


_FIELDS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(
        (
            "hashrate_ths",
            "chip_temp_c",
            "board_temp_c",
            "inlet_temp_c",
            "power_w",
            "boards_active",
            "chips_working",
            "chips_expected",
            "shares_accepted",
            "shares_rejected",
            "last_share_age_s",
            "pools_alive",
            "uptime_s",
        ),
        float,
    ),
    "fans_rpm": _fans,
    "pool_expected": _truth,
    "is_meant_to_mine": _truth,
    "fault_codes": _codes,
}

_WRITTEN: Final[Mapping[Callable[[str], Any], str]] = {
    float: "a number, as 110, 110x10 or 90+-1x10",
    _fans: "whole numbers joined by commas, as 5000,5000x10",
    _truth: "true or false, as truex10",
    _codes: "maker:code joined by commas, as whatsminer:110x5",
}
