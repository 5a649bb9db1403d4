"""Rounds of polls over real time: the grid, the spread, the places, machines that are added, moved and removed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise

import pytest
import structlog

from agent import descriptors, poll
from agent.errors import BadReply, MinerUnreachable
from agent.poll import Poller
from agent.reading import Facts, Live, RawReading
from tests import loopback
from tests.agent.drivers.doors import doors, hang, say
from tests.agent.polled import LIVE, Scripted, Sink, fail, now, polling
from tests.agent.until import until


async def test_each_interval_gives_one_reading_of_each_machine_on_the_grid() -> None:
    sink, addresses = Sink(), loopback.take(5)
    async with polling(sink, *map(Scripted, addresses)):
        await until(lambda: len(sink.readings) >= 20)

    for address in addresses:
        times = [reading.time for reading in sink.of(address)]
        assert len(times) >= 3
        assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=0.4)}
    assert {round(reading.time.timestamp() % 0.4, 6) % 0.4 for reading in sink.readings} == {0}


async def test_the_machines_of_a_site_share_their_grid_and_spread_over_the_interval() -> None:
    """No thundering start: 200 machines are not asked in the first tenth of the interval, nor ever at once."""
    sink = Sink()
    miners = [Scripted(address) for address in loopback.take(200)]
    began = time.monotonic()
    async with polling(sink, *miners, interval_s=1.0):
        await until(lambda: all(miner.reads for miner in miners))

    tenths = Counter(int((miner.reads[0] - began) * 10) for miner in miners)
    assert max(tenths.values()) < 50
    assert len({reading.time for reading in sink.readings}) <= 3


async def test_a_machine_has_the_same_place_in_the_interval_after_a_restart() -> None:
    addresses = loopback.take(8)
    places = []
    for _ in range(2):
        sink, miners = Sink(), [Scripted(address) for address in addresses]
        wall = time.time() - time.monotonic()
        async with polling(sink, *miners, interval_s=1.0):
            await until(lambda miners=miners: all(miner.reads for miner in miners))  # type: ignore[misc]
        places.append([(miner.reads[0] + wall) % 1.0 for miner in miners])

    for first, second in zip(*places, strict=True):
        assert min(abs(first - second), 1 - abs(first - second)) < 0.2


async def test_a_reading_carries_the_facts_the_numbers_and_how_long_it_took() -> None:
    sink, (address,) = Sink(), loopback.take()
    async with polling(sink, Scripted(address, takes_s=0.05)):
        await until(lambda: sink.readings)

    (reading, *_) = sink.readings
    assert (reading.facts.address, reading.live) == (address, LIVE)
    assert reading.read_ms is not None
    assert 45 <= reading.read_ms < 400


async def test_machines_are_read_so_many_at_a_time_and_no_more() -> None:
    sink, addresses = Sink(), loopback.take(12)
    inside, most = 0, 0

    class Counted(Scripted):
        async def read(self) -> Live:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            try:
                return await super().read()
            finally:
                inside -= 1

    machines = [Counted(address, takes_s=0.2) for address in addresses]
    async with asyncio.timeout(10):
        async with polling(sink, *machines, interval_s=0.4, concurrency=3):
            await until(lambda: len(sink.readings) >= 8)

    assert most <= 3 + 1, "3 places, and 1 for those that failed"


async def test_facts_are_read_again_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "_REFRESH_S", 0.8)
    sink, addresses = Sink(), loopback.take(6)
    miners = [Scripted(address) for address in addresses]
    async with polling(sink, *miners, interval_s=0.2):
        await until(lambda: all(miner.refreshes >= 1 for miner in miners), 10)
    assert max(miner.refreshes for miner in miners) < max(len(miner.reads) for miner in miners)


async def test_a_refresh_that_fails_costs_no_reading() -> None:
    sink, (address,) = Sink(), loopback.take()

    class Shy(Scripted):
        async def refresh(self) -> Facts:
            raise MinerUnreachable("not now")

    miner = Shy(address, fail(BadReply("garbage")))
    async with doors(address, port4028=say(b"{}")), polling(sink, miner):
        await until(lambda: sink.readings)
        miner.does = lambda: LIVE
        await until(lambda: any(sink.answered(address)))


async def test_a_removed_machine_gives_no_more_readings_even_of_a_read_that_has_begun() -> None:
    sink, (address, other) = Sink(), loopback.take(2)
    miner = Scripted(address, takes_s=0.2)
    async with polling(sink, miner, Scripted(other)) as poller:
        await until(lambda: miner.reads)
        poller.remove(address)
        await until(lambda: len(sink.of(other)) >= 4)
        assert poller.miners.keys() == {other}
    assert sink.of(address) == []


async def test_a_machine_can_be_added_while_others_are_asked() -> None:
    sink, (first, second) = Sink(), loopback.take(2)
    async with polling(sink) as poller:
        poller.add(Scripted(first))
        await until(lambda: sink.of(first))
        poller.add(Scripted(second))
        await until(lambda: sink.of(second), 2)


async def test_a_machine_that_moved_is_asked_at_its_new_address_only() -> None:
    sink, (before, after, other) = Sink(), loopback.take(3)
    miners = [Scripted(address) for address in (before, after, other)]
    for miner, mac in zip(miners, ("02:00:00:00:00:01", "02-00-00-00-00-01", "02:00:00:00:00:02"), strict=True):
        miner.facts = Facts(address=miner.facts.address, driver="test 1", mac=mac)
    async with polling(sink, miners[0], miners[2]) as poller:
        await until(lambda: sink.of(before))
        poller.add(miners[1])
        assert poller.miners.keys() == {after, other}
        seen = len(sink.of(before))
        await until(lambda: len(sink.of(after)) >= 2)
        assert len(sink.of(before)) == seen


async def test_a_machine_that_took_over_an_address_is_not_thrown_out_by_the_one_that_left_it() -> None:
    sink, (here, there) = Sink(), loopback.take(2)
    miner, moved = Scripted(here), Scripted(there)
    miner.facts = Facts(address=here, driver="test 1", mac="02:00:00:00:00:01")
    async with polling(sink, miner) as poller:
        miner.facts = Facts(address=here, driver="test 1", mac="02:00:00:00:00:02")  # learnt by a refresh
        moved.facts = Facts(address=there, driver="test 1", mac="02:00:00:00:00:01")
        poller.add(moved)
        assert poller.miners.keys() == {here, there}


async def test_a_machine_that_finds_no_place_in_its_turn_is_late_and_not_unreachable() -> None:
    sink, addresses = Sink(), loopback.take(6)
    miners = [Scripted(one, takes_s=0.3) for one in addresses]
    async with AsyncExitStack() as stack:
        for one in addresses:
            await stack.enter_async_context(doors(one, port4028=say(b"{}")))
        poller = await stack.enter_async_context(polling(sink, *miners, interval_s=0.8, concurrency=1))
        await until(lambda: poller.counts.late >= 4 and len(sink.readings) >= 4)

    assert all(reading.live is not None for reading in sink.readings)


async def test_a_clock_that_is_set_is_followed_within_an_interval() -> None:
    sink, (address,) = Sink(), loopback.take()
    offset = timedelta()
    poller = Poller(sink, clock=lambda: now() + offset, interval_s=0.4)
    poller.add(Scripted(address))
    task = asyncio.create_task(poller.run())
    await until(lambda: len(sink.readings) >= 2)
    for jump in (timedelta(hours=5), timedelta(hours=-7)):
        offset = jump
        seen = len(sink.readings)
        await until(lambda seen=seen: len(sink.readings) >= seen + 2, 4)  # type: ignore[misc]
        assert abs(sink.readings[-1].time - (now() + offset)) < timedelta(seconds=2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_ends_every_read_at_once() -> None:
    sink, addresses = Sink(), loopback.take(20)
    tasks = asyncio.all_tasks()
    miners = [Scripted(address, takes_s=60) for address in addresses]
    async with polling(sink, *miners, interval_s=0.5, deadline_s=60):
        await until(lambda: sum(bool(miner.reads) for miner in miners) > 5)
    assert asyncio.all_tasks() == tasks
    assert sink.readings == []


async def test_a_sink_that_fails_ends_the_polling_loudly() -> None:
    def broken(reading: RawReading) -> None:
        raise ZeroDivisionError

    poller = Poller(broken, clock=now, interval_s=0.2)
    poller.add(Scripted(loopback.take()[0]))
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(5):
            await poller.run()


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells how long a connection rested")
async def test_a_connection_that_a_driver_keeps_is_closed_when_no_read_can_be_using_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poll, "_TIDY_EVERY_S", 0.05)
    monkeypatch.setattr(poll, "_KEPT_LONGER_S", 0.1)
    sink, (address,) = Sink(), loopback.take()

    class Keeper(Scripted):
        kept: asyncio.StreamWriter | None = None

        async def read(self) -> Live:
            if self.kept is None:
                _, self.kept = await asyncio.open_connection(address, 4028)
            return await super().read()

    miner = Keeper(address)
    async with doors(address, port4028=hang) as opened, polling(sink, miner, deadline_s=0.2):
        await until(lambda: opened["port4028"].entered == 1)
        await until(lambda: opened["port4028"].inside == 0)
        seen = len(sink.readings)
        await until(lambda: len(sink.readings) >= seen + 1)
    assert miner.kept is not None
    miner.kept.close()
    assert set(sink.answered(address)) == {True}


async def test_few_descriptors_mean_few_reads_at_a_time_and_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "allow", lambda wanted: 1_100)
    sink = Sink()
    with structlog.testing.capture_logs() as logs:
        async with polling(sink, Scripted(loopback.take()[0]), concurrency=200):
            await until(lambda: sink.readings)

    (warning,) = [entry for entry in logs if entry["event"] == "poll.few_descriptors"]
    assert warning["concurrency"] == 7
    assert warning["wanted"] == 200


def test_the_limit_of_open_files_is_raised_as_far_as_allowed() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert descriptors.allow(300) >= 300
        assert descriptors.allow(100) >= 300, "never lowered"
        assert descriptors.allow(2**40) <= max(hard, 2**40)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
