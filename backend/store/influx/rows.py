"""Points back into readings: the whole `wire.Reading`, as far as it was stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.wire import Board, Reading
from backend.store.influx import facts
from backend.store.influx.lineprotocol import moment
from backend.store.influx.queries import Column
from backend.store.influx.schema import (
    BOARD_DECIMALS,
    BOARD_FIELDS,
    BOARDS_BIT,
    FANS,
    FANS_BIT,
    MACHINE_DECIMALS,
    MACHINE_FIELDS,
    POOLS_BIT,
    STATES,
    WHOLE,
)

MACHINE_COLUMNS: Final = tuple(Column(name) for name in MACHINE_FIELDS)
BOARD_COLUMNS: Final = tuple(Column(name) for name in BOARD_FIELDS)

Values = Sequence[Any]


def reading(machine: str, row: Values, boards: Mapping[int, Values], facts_of: Mapping[int, str]) -> Reading:
    """A reading from its row in `machine`, its rows in `board` by index, and the texts of facts by digest.

    Rows are the time and the columns above. Boards come in the order of their indexes.
    """
    time_us, *values = row
    stored = dict(zip(MACHINE_FIELDS, values, strict=True))
    has = stored["has"]
    fields: dict[str, Any] = {"time": moment(time_us), "machine": machine}
    fields["state"] = next(state for state in STATES if stored[f"is_{state.value}"])
    fields |= _numbers(stored, has, MACHINE_DECIMALS)
    if has & FANS_BIT:
        fields["fans_rpm"] = tuple(stored[name] for name in FANS[: stored["fans"]])
    if has & BOARDS_BIT:
        fields["boards"] = tuple(
            _board(index, boards[index]) for index in _indexes(stored["boards"]) if index in boards
        )
    text = facts_of.get(stored["facts"])
    if text is not None:
        fields |= facts.decode(text, stored["pools"] if has & POOLS_BIT else None)
    return Reading(**fields)


def _board(index: int, row: Values) -> Board:
    stored = dict(zip(BOARD_FIELDS, row[1:], strict=True))
    return Board(index=index, **_numbers(stored, stored["has"], BOARD_DECIMALS))


def _numbers(stored: Mapping[str, Any], has: int, decimals: Mapping[str, int]) -> dict[str, Any]:
    """The numbers that are the point's own, unscaled."""
    return {
        name: stored[name] if name in WHOLE else stored[name] / 10**digits
        for bit, (name, digits) in enumerate(decimals.items())
        if has >> bit & 1
    }


def _indexes(bits: int) -> list[int]:
    return [index for index in range(64) if bits >> index & 1]
