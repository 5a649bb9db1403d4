"""Living machines: what is read is what is true, and each fault of a machine shows in its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields

import pytest

from agent.drivers.registry import engine
from agent.errors import AgentError
from agent.reading import Live, RawBoard
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine, wall_clock
from tests import loopback

ENGINES = ("auto", "pyasic")
NOT_GIVEN = {
    # Voltages, nominal rates of boards: in no answer that is worth a question.
    "*": {
        "voltage_v",
        "board.expected_ths",
        "power_mode",
        "fault_codes",
        "expected_ths",
        "frequency_mhz",
        "board_temp_c",
    },
    "auto avalon": {"power_w"},  # what the power supply gives out; the truth is what it draws
    "auto whatsminer-v3": {"shares_accepted", "shares_rejected", "shares_stale", "last_share_age_s"},
    "pyasic whatsminer-v3": {
        *("shares_accepted", "shares_rejected", "shares_stale", "last_share_age_s", "pools", "chip_temp_c"),
    },
    "pyasic bitaxe": {"shares_accepted", "shares_rejected", "pools"},
}


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    """One machine of each model that the families have, up for days."""
    kinds = [(family, seed) for family, kind in FAMILIES.items() for seed in range(len(kind.models))]
    addresses = loopback.take(len(kinds))
    machines = [
        family_machine(family, address, seed=seed) for (family, seed), address in zip(kinds, addresses, strict=True)
    ]
    async with Farm(machines).listening() as listening:
        if listening.left_out:
            pytest.skip(f"cannot simulate every machine here: {listening.left_out}")
        yield listening


def close(found: object, true: object) -> bool:
    if isinstance(found, tuple) and isinstance(true, tuple):
        return len(found) == len(true) and all(map(close, found, true))
    if isinstance(found, int | float) and isinstance(true, int | float):
        return abs(found - true) <= max(2, 0.03 * abs(true))
    return found == true


def differences(found: Live, true: Live, not_given: set[str]) -> list[str]:
    names = {field.name for field in fields(Live)} - not_given - {"boards"}
    wrong = [name for name in sorted(names) if not close(getattr(found, name), getattr(true, name))]
    for board, other in zip(found.boards or (), true.boards or (), strict=True):
        inner = {field.name for field in fields(RawBoard)} - {name.removeprefix("board.") for name in not_given}
        wrong += [f"board {board.index} {n}" for n in sorted(inner) if not close(getattr(board, n), getattr(other, n))]
    return wrong


@pytest.mark.parametrize("name", ENGINES)
async def test_what_is_read_is_what_is_true(farm: Farm, name: str) -> None:
    driver = engine(name, vendor_passwords=True)
    for machine in farm.machines:
        miner = await driver.find(machine.address)
        assert miner is not None, machine.family
        live, true = await miner.read(), machine.truth(wall_clock())
        assert true is not None
        not_given = NOT_GIVEN["*"] | NOT_GIVEN.get(f"{name} {machine.family}", set())
        if name == "pyasic" and machine.family == "antminer":
            not_given |= {"power_w"}
        assert differences(live, true, not_given) == [], f"{machine.family} {miner.facts.model}"


async def read_under(fault: Fault, machine: Machine, name: str, *, board: int | None = None, fan: int = 0) -> Live:
    miner = await engine(name, vendor_passwords=True).find(machine.address)
    assert miner is not None
    machine.faults.begin(fault, board=board, fan=fan)
    return await miner.read()


@pytest.mark.parametrize("name", ENGINES)
async def test_a_fan_that_stands_still_is_0_and_not_missing(farm: Farm, name: str) -> None:
    for machine in farm.machines:
        live = await read_under(Fault.FAN_STOPPED, machine, name, fan=0)
        assert live.fans_rpm is not None, machine.family
        assert live.fans_rpm[0] == 0, machine.family


@pytest.mark.parametrize("name", ENGINES)
async def test_a_machine_that_makes_no_hashes_says_0_and_is_meant_to(farm: Farm, name: str) -> None:
    for machine in farm.machines:
        live = await read_under(Fault.ZERO_HASHRATE, machine, name)
        assert (live.hashrate_ths, live.is_meant_to_mine) == (0, True), machine.family
        assert live.uptime_s is not None


@pytest.mark.parametrize("name", ENGINES)
async def test_a_lost_board_is_still_listed_and_has_no_chip_temperature(farm: Farm, name: str) -> None:
    for machine in farm.machines:
        if machine.family == "bitaxe":
            continue  # its one board is the machine
        live = await read_under(Fault.BOARD_LOST, machine, name, board=2)
        assert live.boards is not None
        assert [board.chip_temp_c is None for board in live.boards][2], machine.family
        assert len(live.boards) == 3, machine.family
        assert not live.boards[2].hashrate_ths, machine.family


async def test_a_fault_is_told_by_its_code_and_never_by_its_words(farm: Farm) -> None:
    for machine in farm.machines:
        live = await read_under(Fault.FAN_STOPPED, machine, "auto", fan=0)
        if machine.family.startswith("whatsminer"):
            assert live.fault_codes == ("whatsminer:110",)
        for code in live.fault_codes or ():
            assert code.partition(":")[0] in ("whatsminer", "antminer", "bitaxe"), code


async def test_a_machine_that_is_off_is_unreachable_and_no_reading_of_zeros(farm: Farm) -> None:
    for name in ("asic-rs", "pyasic"):
        driver = engine(name, vendor_passwords=True)
        miners = [await driver.find(machine.address) for machine in farm.machines]
        for machine in farm.machines:
            machine.faults.begin(Fault.UNREACHABLE)
        await asyncio.sleep(0.3)
        for miner in miners:
            assert miner is not None
            with pytest.raises(AgentError):
                await miner.read()
        for machine in farm.machines:
            machine.faults.end(Fault.UNREACHABLE)
        await asyncio.sleep(0.3)
