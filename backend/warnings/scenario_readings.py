"""What a machine of a scenario says in a poll, as its agent would say it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from agent.wire import Board, MachineId, Pool, Reading, State, describe
from backend.warnings.scenario import BadScenario, Machine
from backend.warnings.series import Value


def reading_of(machine: Machine, fields: Mapping[str, Value] | None, time: datetime) -> Reading:
    """A poll as a reading; `fields` is None when the machine does not answer. Raises `BadScenario` for values that no
    reading can have."""
    common: dict[str, Any] = {"time": time, "machine": pseudonym(machine.name), "model": machine.model}
    if fields is None:
        return Reading(state=State.UNREACHABLE, **common)
    plain = {name: fields[name] for name in _AS_THEY_ARE if name in fields}
    try:
        return Reading(
            state=_state(fields),
            expected_ths=machine.expected_ths,
            boards=_boards(fields, machine.boards),
            pools=_pools(fields),
            **common,
            **plain,
        )
    except ValidationError as error:
        raise BadScenario(f"machine {machine.name}: no reading can be so: {describe(error)}") from error


def pseudonym(name: str) -> MachineId:
    """A machine's pseudonym, from its name in the scenario."""
    digest = hashlib.sha256(name.encode()).digest()[:10]
    return MachineId("mnr-" + base64.b32encode(digest).decode().lower().translate(_CROCKFORD))


_CROCKFORD: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghjkmnpqrstvwxyz")
_POOL: Final = "pol-" + 16 * "0"
_AS_THEY_ARE: Final = (
    "hashrate_ths",
    "inlet_temp_c",
    "fans_rpm",
    "power_w",
    "shares_accepted",
    "shares_rejected",
    "last_share_age_s",
    "pool_expected",
    "uptime_s",
    "fault_codes",
    "is_meant_to_mine",
)


def _state(fields: Mapping[str, Value]) -> State:
    """As the agent says it."""
    hashrate, meant = fields.get("hashrate_ths"), fields.get("is_meant_to_mine")
    if hashrate:
        return State.HASHING
    if meant is False:
        return State.PAUSED
    if fields.get("fault_codes"):
        return State.FAULT
    return State.HASHING if hashrate is None and meant else State.IDLE


def _boards(fields: Mapping[str, Value], expected: int | None) -> tuple[Board, ...] | None:
    """All boards, those that answer first; what is said of "the" board is said of the first."""
    said: dict[str, Any] = {
        name: fields[name]
        for name in ("chip_temp_c", "board_temp_c", "chips_working", "chips_expected")
        if name in fields
    }
    active = fields.get("boards_active")
    if not isinstance(active, float):
        return (Board(index=0, **said),) if said else None
    boards = [
        Board(index=index, **{"chips_working": 1 if index < active else 0, **(said if index == 0 else {})})
        for index in range(max(int(active), expected or 0))
    ]
    return tuple(boards)


def _pools(fields: Mapping[str, Value]) -> tuple[Pool, ...] | None:
    alive = fields.get("pools_alive")
    if not isinstance(alive, float):
        return None
    return tuple(Pool(host=_POOL, alive=index < alive) for index in range(max(int(alive), 1)))
