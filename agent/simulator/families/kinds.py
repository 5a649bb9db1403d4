"""The families by name, and one machine of a family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.errors import Misconfigured
from agent.simulator.contract import Contract
from agent.simulator.families import antminer, avalon, bitaxe, whatsminer, whatsminer_v3
from agent.simulator.faults import Faults
from agent.simulator.identity import Identity
from agent.simulator.life import Life, Model
from agent.simulator.machine import Firmware, Machine, wall_clock
from agent.simulator.noise import trait


@dataclass(frozen=True, slots=True)
class Kind:
    """One family: its models and its firmware."""

    models: tuple[Model, ...]
    firmware: Callable[[Identity, Life], Firmware]


FAMILIES: Final[dict[str, Kind]] = {
    "whatsminer": Kind(whatsminer.MODELS, whatsminer.Whatsminer),
    "whatsminer-v3": Kind(whatsminer_v3.MODELS, whatsminer_v3.WhatsminerV3),
    "avalon": Kind(avalon.MODELS, avalon.Avalon),
    "antminer": Kind(antminer.MODELS, antminer.Antminer),
    "bitaxe": Kind(bitaxe.MODELS, bitaxe.BitAxe),
}
_JUST_STARTED: Final = 10  # one machine in so many starts with the farm and is seen warming up


def family_machine(
    family: str,
    address: str,
    seed: int,
    *,
    clock: Callable[[], datetime] = wall_clock,
    started: datetime | None = None,
) -> Machine:
    """One machine of a family; the seed makes its model, names and character.

    Without `started` it has been running for up to two weeks, or one time in ten for a second.
    Raises `Misconfigured` for a family that there is not.
    """
    kind = FAMILIES.get(family)
    if kind is None:
        raise Misconfigured(f"no family {family!r}: choose from {', '.join(FAMILIES)}")
    identity, faults = Identity.of(seed, address), Faults(clock)
    contract = Contract.of(identity)
    model = kind.models[seed % len(kind.models)]
    life = Life(model, contract, faults, seed=seed, started=started or clock() - _age(seed))
    firmware = kind.firmware(identity, life)
    return Machine(
        address=address,
        family=family,
        identifiers=_planted(identity, contract, model),
        firmware=firmware,
        faults=faults,
    )


def _age(seed: int) -> timedelta:
    if seed % _JUST_STARTED == _JUST_STARTED - 1:
        return timedelta(seconds=1)
    return timedelta(hours=170 + 165 * trait(seed, 0))


def _planted(identity: Identity, contract: Contract, model: Model) -> tuple[str, ...]:
    """Every name that any answer of the machine may hold, each once."""
    boards = range(model.boards)
    names = (
        identity.address,
        identity.mac,
        identity.mac_bare,
        identity.serial,
        identity.host,
        identity.worker,
        identity.device_id,
        identity.ssid,
        identity.psu_serial,
        *(identity.board_serial(index) for index in boards),
        *(identity.chip_data(index) for index in boards),
        *contract.names,
    )
    return tuple(dict.fromkeys(names))
