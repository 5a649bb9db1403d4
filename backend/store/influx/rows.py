"""Points back into readings: the whole `wire.Reading`, as far as it was stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agent.wire import Board, MachineId, Reading
from backend.ids import AccountId, SiteId
from backend.store.influx import facts
from backend.store.influx.client import Table
from backend.store.influx.queries import Column, Select, Tag, Tags
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
    Measurement,
)
from backend.store.influx.times import moment

MACHINE_COLUMNS: Final = tuple(Column(name) for name in MACHINE_FIELDS)
BOARD_COLUMNS: Final = tuple(Column(name) for name in BOARD_FIELDS)

_BOARDS_TO_LOOK_THROUGH: Final = 3
"""A poll may be written between the answers for machines and for boards."""

Values = Sequence[Any]
Found = dict[tuple[MachineId, SiteId, int], Reading]
"""Readings by machine, site and time (µs since 1970)."""


def questions(
    account: AccountId, start_us: int, end_us: int, *, machines: Sequence[MachineId] = (), is_newest: bool = False
) -> tuple[Select, Select, Select]:
    """What `readings` puts together: rows of machines, boards and facts; of each machine all, or the newest."""

    def select(measurement: Measurement, columns: tuple[Column, ...], by: tuple[Tag, ...], newest: int) -> Select:
        # Facts stand at the start of their day.
        since_us = facts.day_us(start_us) if measurement == "facts" else start_us
        return Select(
            account=account,
            measurement=measurement,
            columns=columns,
            start_us=since_us,
            end_us=end_us,
            tags=Tags.where(machines=machines),
            by=by,
            newest=newest if is_newest else None,
        )

    return (
        select("machine", MACHINE_COLUMNS, ("machine", "site"), 1),
        select("board", BOARD_COLUMNS, ("machine", "site", "board"), _BOARDS_TO_LOOK_THROUGH),
        select("facts", (Column("json"),), ("machine", "digest"), 1),
    )


def readings(machines: Iterable[Table], boards: Iterable[Table], texts: Iterable[Table]) -> Found:
    """The answers to `questions`, put together."""
    boards_at: defaultdict[tuple[str, str, int], dict[int, Values]] = defaultdict(dict)
    for table in boards:
        tags = table.tags
        for row in table.rows:
            boards_at[tags["machine"], tags["site"], row[0]][int(tags["board"])] = row
    facts_of: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for table in texts:
        facts_of[table.tags["machine"]][int(table.tags["digest"])] = table.rows[0][1]
    found: Found = {}
    for table in machines:
        machine, site = table.tags["machine"], table.tags["site"]
        for row in table.rows:
            place = (MachineId(machine), SiteId(site), row[0])
            found[place] = reading(machine, row, boards_at[machine, site, row[0]], facts_of[machine])
    return found


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
