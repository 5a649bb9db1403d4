"""Readings as line protocol, by a renderer for this one schema (the client's `Point` is five times slower).

Synchronous and pure; call it from a worker thread. Times are whole microseconds since 1970: write with
`precision=us`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from agent.wire import Batch, Board, Reading, State
from backend.ids import AccountId
from backend.store.influx import facts, names
from backend.store.influx.schema import (
    BOARD_DECIMALS,
    BOARDS_BIT,
    DERIVED_DECIMALS,
    FANS,
    FANS_BIT,
    MACHINE_DECIMALS,
    POOLS_BIT,
    STATES,
    WHOLE,
)
from backend.store.influx.times import microseconds

_TEMP: Final = 10 ** DERIVED_DECIMALS["chip_temp_c"]


Plan = tuple[tuple[str, str, int, int], ...]


def _plan(decimals: dict[str, int], whole: frozenset[str]) -> tuple[Plan, Plan]:
    """Name, key, factor and bit of the fields to be scaled, and of those that are whole numbers already."""
    every = [(name, f",{name}=", 10**digits, 1 << bit) for bit, (name, digits) in enumerate(decimals.items())]
    return tuple(one for one in every if one[0] not in whole), tuple(one for one in every if one[0] in whole)


_SCALED, _WHOLE = _plan(MACHINE_DECIMALS, WHOLE)
_BOARD_SCALED, _BOARD_WHOLE = _plan(BOARD_DECIMALS, WHOLE)
_OF_STATE: Final[dict[State, str]] = {
    state: f"is_reachable={int(state is not State.UNREACHABLE)}i,"
    + ",".join(f"is_{other.value}={int(other is state)}i" for other in STATES)
    for state in STATES
}


def render(
    account: AccountId, batch: Batch, readings: Iterable[Reading]
) -> tuple[list[str], dict[facts.Key, facts.Content]]:
    """The lines of readings of a batch, and the facts that they refer to (`facts.line` makes the lines of these)."""
    of_account = names.account_tag(account)
    of_site = names.tag(batch.site)
    times: dict[datetime, int] = {}
    lines: list[str] = []
    referred: dict[facts.Key, facts.Content] = {}
    for reading in readings:
        time_us = times.get(reading.time)
        if time_us is None:
            time_us = times[reading.time] = microseconds(reading.time)
        machine = names.tag(reading.machine)
        digest, content = facts.of(reading)
        referred[facts.Key(of_account, of_site, machine, digest, facts.day_us(time_us))] = content
        tags = f"machine={machine},site={of_site}"
        lines.append(f"machine,account={of_account},{tags} {_machine(reading)},facts={digest}i {time_us}")
        if reading.boards:
            for board in reading.boards:
                lines.append(f"board,account={of_account},board={board.index},{tags} {_board(board)} {time_us}")
    return lines, referred


def _machine(reading: Reading) -> str:
    values = reading.__dict__
    has = 0
    parts = [_OF_STATE[reading.state]]
    for name, key, factor, bit in _SCALED:
        value = values[name]
        if value is not None:
            has |= bit
            parts.append(f"{key}{round(value * factor)}i")
    for name, key, _, bit in _WHOLE:
        value = values[name]
        if value is not None:
            has |= bit
            parts.append(f"{key}{value:d}i")
    if reading.fans_rpm is not None:
        has |= FANS_BIT
        parts.append(_fans(reading.fans_rpm))
    if reading.boards is not None:
        has |= BOARDS_BIT
        parts.append(_boards(reading.boards))
    if reading.pools is not None:
        has |= POOLS_BIT
        parts.append(f",pools={facts.liveness(reading.pools)}i")
    if reading.fault_codes is not None:
        parts.append(f",fault_count={len(reading.fault_codes)}i")
    parts.append(f",has={has}i")
    return "".join(parts)


def _fans(fans_rpm: tuple[int, ...]) -> str:
    if not fans_rpm:
        return ",fans=0i"
    each = ",".join([f"{name}={rpm}i" for name, rpm in zip(FANS, fans_rpm, strict=False)])
    return f",fans={len(fans_rpm)}i,fan_min_rpm={min(fans_rpm)}i,fan_max_rpm={max(fans_rpm)}i,{each}"


def _boards(boards: tuple[Board, ...]) -> str:
    """What the boards come to together, and which there are (a bit each; the 64th is the sign)."""
    indexes = 0
    chip_temps, board_temps, rates, working, expected = [], [], [], [], []
    for board in boards:
        values = board.__dict__
        indexes |= 1 << values["index"]
        if (value := values["chip_temp_c"]) is not None:
            chip_temps.append(value)
        if (value := values["board_temp_c"]) is not None:
            board_temps.append(value)
        if (value := values["hashrate_ths"]) is not None:
            rates.append(value > 0)
        if (value := values["chips_working"]) is not None:
            working.append(value)
        if (value := values["chips_expected"]) is not None:
            expected.append(value)
    parts = f",boards={indexes - (1 << 64) if indexes >> 63 else indexes}i"
    if chip_temps:
        parts += f",chip_temp_c={round(max(chip_temps) * _TEMP)}i"
    if board_temps:
        parts += f",board_temp_c={round(max(board_temps) * _TEMP)}i"
    if rates:
        parts += f",boards_hashing={sum(rates)}i"
    if working:
        parts += f",chips_working={sum(working)}i"
    if expected:
        parts += f",chips_expected={sum(expected)}i"
    return parts


def _board(board: Board) -> str:
    values = board.__dict__
    has = 0
    parts = []
    for name, key, factor, bit in _BOARD_SCALED:
        value = values[name]
        if value is not None:
            has |= bit
            parts.append(f"{key}{round(value * factor)}i")
    for name, key, _, bit in _BOARD_WHOLE:
        value = values[name]
        if value is not None:
            has |= bit
            parts.append(f"{key}{value}i")
    return f"has={has}i{''.join(parts)}"
