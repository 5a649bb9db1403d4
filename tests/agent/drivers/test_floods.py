"""Machines that send without end: their reads end at once, by whichever way the bytes come, and nobody else's do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from agent.drivers import flood_watch
from agent.drivers.connections import connections
from agent.drivers.floods import Floods
from agent.drivers.registry import engine
from agent.errors import TooMuch
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from tests import loopback
from tests.agent.drivers.doors import Handler, doors, hang, say
from tests.conftest import Simulated

PORT = 8_981
linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="it is Linux that tells our memory")


@asynccontextmanager
async def watched(floods: Floods) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(flood_watch.watch(floods))
        yield
        task.cancel()


def pour(size: int) -> Handler:
    """Answer anything with so many bytes, and keep the connection."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        for _ in range(size // 65_536):
            writer.write(b"A" * 65_536)
            await writer.drain()
        await hang(reader, writer)

    return handler


def break_all(farm: Farm) -> None:
    for machine in farm.machines:
        machine.faults.begin(Fault.HUGE_ANSWER)


@linux
async def test_pages_that_do_not_end_are_given_up_before_they_fill_the_memory(simulated: Simulated) -> None:
    """By their pages only: without the watch these four take a gigabyte, and tell nothing in 5 s."""
    farm, floods = await simulated(*["bitaxe"] * 4), Floods()
    async with watched(floods):
        driver = engine("asic-rs", floods=floods)
        miners = [await driver.find(machine.address) for machine in farm.machines]
        break_all(farm)
        before = peak = flood_watch.resident_bytes()
        reads = [asyncio.create_task(miner.read()) for miner in miners if miner is not None]
        while not all(read.done() for read in reads):
            peak = max(peak, flood_watch.resident_bytes())
            await asyncio.sleep(0.005)

    assert [type(read.exception()) for read in reads] == [TooMuch] * 4
    assert peak - before < 250e6


@pytest.mark.parametrize("name", ["asic-rs", "pyasic"])
async def test_an_api_that_does_not_end_is_given_up_by_our_own_read_alone(simulated: Simulated, name: str) -> None:
    farm = await simulated("whatsminer", "avalon", "antminer")
    driver = engine(name, vendor_passwords=True)
    miners = [await driver.find(machine.address) for machine in farm.machines]
    break_all(farm)
    for miner in miners:
        assert miner is not None
        with pytest.raises(TooMuch):
            await miner.read()


async def test_a_machine_that_flooded_is_asked_by_the_library_again_when_it_does_so_no_more() -> None:
    (address,), floods = loopback.take(), Floods()
    floods.seen(address)
    async with doors(address, port4028=pour(2_000_000)):
        with pytest.raises(TooMuch):
            async with floods.bounded(address):
                pytest.fail("a library was let in")
    async with doors(address, port4028=say(b"{}")) as opened:
        for _ in range(2):
            async with floods.bounded(address):
                pass
        assert opened["port4028"].entered == 1, "it is forgiven after one read"


@linux
async def test_a_flood_that_leaves_the_memory_small_ends_too_and_so_does_no_other_machine_s_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flood_watch, "_NOTE_EVERY_S", 0.3)
    (bad, good), floods = loopback.take(2), Floods()

    async def take_all(address: str) -> None:
        reader, writer = await asyncio.open_connection(address, PORT)
        try:
            async with floods.bounded(address):
                writer.write(b"?")
                while await reader.read(262_144):  # noqa: ASYNC110 - slowly, so that memory stays as it is
                    await asyncio.sleep(0.01)
        finally:
            writer.close()

    async with (
        doors(bad, **{f"port{PORT}": pour(100_000_000)}),
        doors(good, **{f"port{PORT}": pour(500_000)}),
        watched(floods),
        asyncio.timeout(15),
    ):
        patient = asyncio.create_task(take_all(good))
        with pytest.raises(TooMuch):
            await take_all(bad)
        assert not patient.done()
        patient.cancel()
        await asyncio.wait([patient])


@linux
async def test_connections_tell_how_much_came_over_them() -> None:
    (address,) = loopback.take()
    async with doors(address, **{f"port{PORT}": pour(131_072)}):
        reader, writer = await asyncio.open_connection(address, PORT)
        writer.write(b"?")
        await reader.readexactly(131_072)
        try:
            (found,) = [each for each in connections() if each.address == address]
            assert found.received_bytes == 131_072
            assert 0 <= found.rested_s < 10
        finally:
            writer.close()


async def test_where_memory_cannot_be_seen_it_is_said_once_and_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood_watch, "_MEMORY", Path("/nowhere/statm"))
    with structlog.testing.capture_logs() as logs:
        await flood_watch.watch(Floods())
    assert [entry["event"] for entry in logs] == ["flood.unwatched"]
