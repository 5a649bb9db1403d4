"""The sockets of a farm: who listens, who refuses, who is left out, and that nothing stays open."""

from __future__ import annotations

import asyncio
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import Misconfigured
from agent.simulator.capture import capture_machine
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from agent.simulator.machine import wall_clock
from tests import loopback
from tests.agent.simulator.asking import exchange, http, rpc, until
from tests.agent.simulator.test_capture import write_recording
from tests.conftest import Simulated


class Clock:
    """A clock that a test turns forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return wall_clock() + self.ahead


async def connects(address: str, port: int = 4028) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except ConnectionError:  # refused; or reset, in the moment in which the listener closes
        return False
    writer.close()
    return True


async def test_an_unreachable_machine_refuses_on_every_port_until_it_is_back(simulated: Simulated) -> None:
    farm = await simulated("antminer", "antminer")
    gone, sound = farm.machines
    _, kept = await asyncio.open_connection(gone.address, 80)

    async def refuses() -> bool:
        return not await connects(gone.address, 4028) and not await connects(gone.address, 80)

    async def answers() -> bool:
        return await connects(gone.address, 4028) and await connects(gone.address, 80)

    gone.faults.begin(Fault.UNREACHABLE)
    assert await until(refuses)
    kept.close()
    assert (await rpc(sound.address, "version"))["VERSION"]
    gone.faults.end()
    assert await until(answers)
    assert (await rpc(gone.address, "version"))["VERSION"]


async def test_connections_of_a_machine_that_becomes_unreachable_end(simulated: Simulated) -> None:
    farm = await simulated("whatsminer-v3")
    machine = farm.machines[0]
    reader, writer = await asyncio.open_connection(machine.address, 4433)
    machine.faults.begin(Fault.UNREACHABLE)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_scripted_outage_begins_and_ends_by_the_clock(simulated: Simulated) -> None:
    clock = Clock()
    farm = await simulated("avalon", clock=clock)
    machine = farm.machines[0]
    now = clock()
    machine.faults.begin(Fault.UNREACHABLE, since=now + timedelta(minutes=1), until=now + timedelta(minutes=2))

    async def refuses() -> bool:
        return not await connects(machine.address)

    async def answers() -> bool:
        return await connects(machine.address)

    assert await connects(machine.address)
    clock.ahead = timedelta(seconds=61)
    assert await until(refuses)
    clock.ahead = timedelta(seconds=121)
    assert await until(answers)


async def test_a_reboot_loop_refuses_and_answers_in_turn(simulated: Simulated) -> None:
    clock = Clock()
    farm = await simulated("avalon", clock=clock)
    machine = farm.machines[0]
    machine.faults.begin(Fault.REBOOT_LOOP)

    async def refuses() -> bool:
        return not await connects(machine.address)

    async def answers() -> bool:
        return await connects(machine.address)

    assert await until(refuses)
    clock.ahead = timedelta(seconds=8)
    assert await until(answers)
    assert (await rpc(machine.address, "summary"))["SUMMARY"][0]["Elapsed"] < 10
    clock.ahead = timedelta(seconds=21)
    assert await until(refuses)


async def test_an_outage_set_before_the_start_holds_from_the_start() -> None:
    address = loopback.take()[0]
    machine = family_machine("avalon", address, 1)
    machine.faults.begin(Fault.UNREACHABLE)
    async with Farm([machine]).listening():
        assert not await connects(address)


async def test_nothing_listens_after_the_end() -> None:
    address = loopback.take()[0]
    async with Farm([family_machine("avalon", address, 1)]).listening() as farm:
        reader, writer = await asyncio.open_connection(address, 4028)

        async def accepted() -> bool:
            return farm.open_connections == 1

        assert await until(accepted)
    assert await reader.read() == b""
    writer.close()
    assert not await connects(address)
    assert farm.open_connections == 0


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Farm([family_machine("avalon", loopback.take()[0], 1)]).listening():
            raise ZeroDivisionError


async def test_a_taken_port_is_named_and_what_was_open_closes() -> None:
    free, taken = loopback.take(2)
    async with Farm([family_machine("avalon", taken, 1)]).listening():
        farm = Farm([family_machine("avalon", free, 1), family_machine("avalon", taken, 2)])
        with pytest.raises(Misconfigured, match=rf"cannot listen on port 4028 of {taken}: Address already in use"):
            async with farm.listening():
                pass
        assert not await connects(free)


async def test_a_machine_whose_port_was_taken_meanwhile_comes_back_when_it_is_free(simulated: Simulated) -> None:
    farm = await simulated("antminer")
    machine = farm.machines[0]

    async def refuses() -> bool:
        return not await connects(machine.address)

    async def answers() -> bool:
        return await connects(machine.address)

    machine.faults.begin(Fault.UNREACHABLE)
    assert await until(refuses)
    with socket.create_server((machine.address, 80)):
        machine.faults.end()
        await asyncio.sleep(0.3)  # three looks of the doorkeeper
        assert await refuses()  # its other port stays shut, too
    assert await until(answers)


async def test_one_listener_for_a_port_tells_the_machines_apart(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / "example", ports={"rpc": 24028, "http": 20080})
    first, second, nobody = loopback.take(3)
    machines = [capture_machine(folder, address, seed) for seed, address in enumerate([first, second])]
    farm = Farm(machines, shares_ports=True)
    assert farm.listeners_needed == 2
    async with farm.listening():
        for machine in machines:
            answer = await exchange(machine.address, 24028, b'{"command":"version"}')
            bare_macs = [name for name in machine.identifiers if name.startswith("02") and ":" not in name]
            assert bare_macs[0].encode() in answer
            assert (await http(machine.address, "/info", port=20080))[0] == 200
        with pytest.raises(ConnectionResetError):
            await exchange(nobody, 24028, b'{"command":"version"}')
        machines[1].faults.begin(Fault.UNREACHABLE)
        with pytest.raises(ConnectionResetError):
            await exchange(second, 24028, b'{"command":"version"}')
        machines[1].faults.end()
        assert await exchange(second, 24028, b'{"command":"version"}')
        assert farm.open_connections == 0


async def test_a_farm_knows_its_machines_by_address(simulated: Simulated) -> None:
    farm = await simulated("avalon", "bitaxe")
    for machine in farm.machines:
        assert farm[machine.address] is machine
    assert farm.machine_at("127.1.2.3") is None
    assert farm.listeners_needed == 2
