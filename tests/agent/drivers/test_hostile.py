"""Machines that answer badly, or mean harm: each is over by its deadline, costs little, and is never a reading."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.drivers.own_read import LIMIT_S
from agent.drivers.protocol import Miner
from agent.drivers.registry import engine
from agent.errors import AgentError
from agent.reading import Live
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.farm import Farm
from agent.simulator.faults import ON_THE_WIRE, Fault
from tests import loopback
from tests.agent.drivers.doors import doors, hang, say
from tests.agent.until import until

ENGINES = ("asic-rs", "pyasic")
SLOW = (Fault.NEVER_ANSWERS, Fault.SLOW_DRIP, Fault.HUGE_ANSWER)  # 5 s and more by asic-rs' own limits
QUICK = [fault for fault in ON_THE_WIRE if fault not in SLOW]


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    """One machine of each family."""
    addresses = loopback.take(len(FAMILIES))
    machines = [family_machine(family, address, seed=1) for family, address in zip(FAMILIES, addresses, strict=True)]
    async with Farm(machines).listening() as listening:
        if listening.left_out:
            pytest.skip(f"cannot simulate every machine here: {listening.left_out}")
        yield listening


async def found(name: str, farm: Farm) -> list[Miner]:
    driver = engine(name, vendor_passwords=True)
    miners = [await driver.find(machine.address) for machine in farm.machines]
    return [miner for miner in miners if miner is not None]


async def outcome(miner: Miner, deadline_s: float) -> Live | AgentError | TimeoutError:
    try:
        async with asyncio.timeout(deadline_s):
            return await miner.read()
    except (AgentError, TimeoutError) as error:
        return error


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.value)
async def test_a_bad_answer_is_refused_or_gives_what_is_sound_in_it(farm: Farm, name: str, fault: Fault) -> None:
    miners = await found(name, farm)
    assert len(miners) == len(FAMILIES)
    for machine in farm.machines:
        machine.faults.begin(fault)

    results = await asyncio.gather(*(outcome(miner, 8) for miner in miners))

    for live in results:
        if isinstance(live, Live):
            assert live.hashrate_ths is None or 0 <= live.hashrate_ths < float("inf")
            assert live.uptime_s is None or live.uptime_s >= 0
            assert live.hashrate_ths is not None or live.uptime_s is not None
            assert all(0 <= rpm <= 2**53 for rpm in live.fans_rpm or ())


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("fault", [Fault.NEVER_ANSWERS, Fault.SLOW_DRIP], ids=lambda fault: fault.value)
async def test_a_machine_that_says_nothing_or_a_byte_a_second_is_over_at_the_deadline(
    farm: Farm, name: str, fault: Fault
) -> None:
    miners = await found(name, farm)
    for machine in farm.machines:
        machine.faults.begin(fault)

    began = time.monotonic()
    results = await asyncio.gather(*(outcome(miner, 1) for miner in miners))

    assert [type(result) for result in results] == [TimeoutError] * len(FAMILIES)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("name", ENGINES)
async def test_a_read_that_is_given_up_leaves_no_connection_behind(name: str) -> None:
    (address,) = loopback.take()
    async with Farm([family_machine("whatsminer", address, seed=1)]).listening() as farm:
        (miner,) = await found(name, farm)
    async with doors(address, port4028=hang) as opened:
        assert isinstance(await outcome(miner, 0.5), TimeoutError)

        await until(lambda: opened["port4028"].entered and not opened["port4028"].inside, 3)


@pytest.mark.parametrize("name", ENGINES)
async def test_a_search_that_is_given_up_leaves_nothing_behind(name: str) -> None:
    (address,) = loopback.take()
    driver = engine(name, vendor_passwords=True)
    async with doors(address, port4028=hang, port80=hang) as opened:
        tasks = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await driver.find(address)
        await until(lambda: not opened["port4028"].inside and not opened["port80"].inside, 3)
        assert opened["port80"].entered
        left = {task for task in asyncio.all_tasks() - tasks if not task.done() and "Door" not in repr(task)}
        assert left == set()


async def test_a_flood_costs_pyasic_a_megabyte_and_no_time(farm: Farm) -> None:
    miners = await found("pyasic", farm)
    for machine in farm.machines:
        machine.faults.begin(Fault.HUGE_ANSWER)
    before = resident_mb()

    results = await asyncio.gather(*(outcome(miner, 5) for miner in miners))

    assert all(isinstance(result, AgentError) for result in results)
    assert resident_mb() - before < 60


@pytest.mark.parametrize("name", ENGINES)
async def test_a_redirect_while_a_machine_is_looked_for_leads_nowhere_else(name: str) -> None:
    """A machine must not make the agent ask other hosts, inside the site or outside."""
    (address, elsewhere) = loopback.take(2)
    redirect = f"HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
    async with doors(address, port80=say(redirect)) as opened, doors(elsewhere, port80=say(b"")) as other:
        assert await engine(name).find(address) is None

    assert opened["port80"].entered
    assert not other["port80"].entered


@pytest.mark.parametrize("name", ENGINES)
async def test_a_known_machine_that_redirects_its_reads_leads_nowhere_else(name: str) -> None:
    (address, elsewhere) = loopback.take(2)
    redirect = f"HTTP/1.1 307 Moved\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
    async with Farm([family_machine("antminer", address, seed=1)]).listening():
        miner = await engine(name, vendor_passwords=True, within=[address]).find(address)
        assert miner is not None
    async with doors(address, port80=say(redirect)) as opened, doors(elsewhere, port80=say(b"")) as other:
        await outcome(miner, 5)
        assert opened["port80"].entered
        assert not other["port80"].entered


@pytest.mark.parametrize("name", ENGINES)
async def test_what_is_no_miner_is_not_found(name: str) -> None:
    (printer, closed) = loopback.take(2)
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n<title>Laser 4000</title>\r\n"
    async with doors(printer, port80=say(page)):
        assert await engine(name).find(printer) is None
    assert await engine(name).find(closed) is None


async def test_a_hanging_api_port_costs_a_web_page_s_reading_3_s_once(farm: Farm) -> None:
    """The extra question on port 4028 of a BitAxe, which has none: bounded, and then left out for a while."""
    bitaxe = next(machine for machine in farm.machines if machine.family == "bitaxe")
    miner = await engine("asic-rs").find(bitaxe.address)
    assert miner is not None
    async with doors(bitaxe.address, port4028=hang):
        times = []
        for _ in range(3):
            began = time.monotonic()
            await miner.read()
            times.append(time.monotonic() - began)

    assert times[0] == pytest.approx(LIMIT_S, abs=1)
    assert max(times[1:]) < 1


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
