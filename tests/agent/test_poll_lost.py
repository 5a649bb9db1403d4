"""Machines that fail, hang, slow down, and come back: over real time, and nobody else pays for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
import structlog

from agent import poll
from agent.drivers.registry import engine
from agent.errors import BadReply, MinerUnreachable, TooMuch
from agent.poll import Poller, backoff_s
from agent.reading import Facts, Live
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from tests import loopback
from tests.agent.drivers.doors import doors, hang, say
from tests.agent.polled import LIVE, Scripted, Sink, fail, now, polling
from tests.agent.until import until


@pytest.mark.parametrize(
    "does",
    [fail(MinerUnreachable("no")), fail(BadReply("garbage")), fail(ZeroDivisionError()), fail(TimeoutError())],
    ids=["unreachable", "bad reply", "a fault in the driver", "a time-out of the driver's own"],
)
async def test_a_machine_that_fails_is_unreachable_in_each_interval_and_stops_nobody(does: Callable[[], Live]) -> None:
    sink, (bad, good) = Sink(), loopback.take(2)
    async with polling(sink, Scripted(bad, does), Scripted(good)):
        await until(lambda: len(sink.of(bad)) >= 4 and len(sink.of(good)) >= 4)

    assert set(sink.answered(bad)) == {False}
    assert set(sink.answered(good)) == {True}
    times = [reading.time for reading in sink.of(bad)]
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=0.4)}


async def test_a_slow_machine_is_cut_off_at_the_deadline() -> None:
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, takes_s=60)
    async with polling(sink, miner, interval_s=1.0, deadline_s=0.2):
        await until(lambda: sink.readings)

    (reading, *_) = sink.readings
    assert reading.live is None
    assert reading.read_ms is None


async def test_a_deadline_longer_than_the_interval_is_cut_to_fit_into_it() -> None:
    sink, (address,) = Sink(), loopback.take()
    async with polling(sink, Scripted(address, takes_s=60), interval_s=0.5, deadline_s=10) as poller:
        await until(lambda: len(sink.readings) >= 3)

    assert poller.counts.late == 0
    assert poller.counts.failures == 3


async def test_slow_machines_delay_nobody() -> None:
    """As many slow machines as there are places: the quick one is asked in each interval all the same."""
    sink, (quick, *slow) = Sink(), loopback.take(9)
    async with polling(
        sink,
        Scripted(quick),
        *(Scripted(one, takes_s=60) for one in slow),
        interval_s=1.0,
        deadline_s=0.7,
        concurrency=8,
    ):
        await until(lambda: len(sink.of(quick)) >= 4, 12)

    times = [reading.time for reading in sink.of(quick)]
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=1)}


async def test_a_machine_that_hangs_is_knocked_at_and_not_read_until_it_speaks() -> None:
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, takes_s=60)
    async with doors(address, port4028=hang) as opened, polling(sink, miner, interval_s=0.8, deadline_s=0.2):
        await until(lambda: len(sink.readings) >= 3, 12)
        assert len(miner.reads) == 1
        assert opened["port4028"].entered >= 2
        assert b'{"command":"version"}' in opened["port4028"].heard
    assert set(sink.answered(address)) == {False}


async def test_a_machine_is_read_in_the_first_interval_in_which_it_speaks_again() -> None:
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, fail(MinerUnreachable("off")))
    async with polling(sink, miner, interval_s=0.5) as poller:
        await until(lambda: len(sink.readings) >= 4)
        assert len(miner.reads) == 1, "nothing listens: knocking is enough"
        assert poller.down == {address}
        miner.does = lambda: LIVE
        async with doors(address, port80=say(b"HTTP/1.0 200 OK\r\n\r\n")):
            seen = len(sink.readings)
            await until(lambda: len(sink.readings) >= seen + 2)
            assert sink.answered(address)[seen + 1]
            assert poller.down == frozenset()


async def test_a_machine_that_answers_and_eats_the_deadline_is_read_less_and_less_often() -> None:
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, takes_s=60)
    async with doors(address, port4028=say(b"{}")), polling(sink, miner, interval_s=0.8, deadline_s=0.4) as poller:
        await until(lambda: len(sink.readings) >= 5, 20)
        assert len(miner.reads) < len(sink.readings)
        assert poller.counts.late == 0


async def test_a_machine_that_floods_is_read_less_and_less_often_though_it_does_so_quickly() -> None:
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, fail(TooMuch()))
    async with doors(address, port4028=say(b"{}")), polling(sink, miner):
        await until(lambda: len(sink.readings) >= 7)
    assert len(miner.reads) <= 4


async def test_a_machine_that_eats_the_deadline_is_read_again_after_the_longest_rest_and_then_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poll, "_BACKOFF_MAX_S", 0.8)
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, takes_s=60)
    async with doors(address, port4028=say(b"{}")), polling(sink, miner, interval_s=0.8, deadline_s=0.4):
        await until(lambda: len(miner.reads) >= 4, 20)
        assert max(later - earlier for earlier, later in pairwise(miner.reads)) < 0.8 + 2 * 0.8
        miner.takes_s = 0
        await until(lambda: any(sink.answered(address)), 10)
        back = sink.answered(address).index(True)
        await until(lambda: len(sink.readings) >= back + 3, 10)
    assert all(sink.answered(address)[back:])


def test_the_rests_of_a_machine_double_up_to_five_minutes_and_machines_that_failed_together_rest_differently() -> None:
    assert [backoff_s(failures, 60, 1.0) for failures in range(1, 6)] == [60, 120, 240, 300, 300]
    assert backoff_s(10**9, 1, 1.0) == 300

    rests = [backoff_s(9, 60, share / 1_000) for share in range(1_000)]
    assert (min(rests), round(max(rests))) == (240, 300)
    assert len({int(rest) for rest in rests}) == 60, "spread evenly over a minute"


async def test_a_machine_that_came_back_tells_its_facts_anew_before_its_reading() -> None:
    """Another machine may have got its address meanwhile."""
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, fail(MinerUnreachable("off")))
    miner.next_facts = Facts(address=address, driver="test 1", mac="02:00:00:00:00:99")
    async with doors(address, port4028=say(b"{}")), polling(sink, miner):
        await until(lambda: sink.readings)
        miner.does = lambda: LIVE
        await until(lambda: any(sink.answered(address)))

    assert miner.refreshes == 1
    first = next(reading for reading in sink.readings if reading.live is not None)
    assert first.facts.mac == "02:00:00:00:00:99"


async def test_a_crowd_of_dead_machines_is_knocked_at_before_a_place_is_taken() -> None:
    """When a switch goes down, hundreds of machines would each hold a place for the whole deadline."""
    sink, (quick, *dead) = Sink(), loopback.take(31)
    miners = [Scripted(one, takes_s=60) for one in dead]
    async with (
        doors(quick, port4028=say(b"{}")),
        polling(sink, Scripted(quick), *miners, interval_s=1.2, deadline_s=0.9, concurrency=2),
    ):
        await until(lambda: len({reading.facts.address for reading in sink.readings}) == 31)
        await until(lambda: len(sink.of(quick)) >= 2)

    assert sum(bool(miner.reads) for miner in miners) <= 8
    assert set(sink.answered(quick)) == {True}


async def test_a_machine_is_logged_by_its_pseudonym_when_it_is_lost_and_when_it_is_back() -> None:
    sink, (address,) = Sink(), loopback.take()
    miner = Scripted(address, fail(BadReply("garbage")))
    with structlog.testing.capture_logs() as logs:
        async with doors(address, port4028=say(b"{}")), polling(sink, miner, name_of=lambda facts: "mnr-x"):
            await until(lambda: len(sink.readings) >= 4)
            miner.does = lambda: LIVE
            await until(lambda: any(sink.answered(address)))

    events = [(entry["event"], entry.get("machine")) for entry in logs]
    assert events == [("miner.lost", "mnr-x"), ("miner.back", "mnr-x")]
    assert address not in repr(logs)


async def test_a_farm_with_bad_machines_is_polled_on_time() -> None:
    """Real drivers and real sockets: the broken ones are unreachable, the sound ones have a reading each interval."""
    faults = [None, Fault.NEVER_ANSWERS, None, Fault.GARBAGE, None, Fault.HALF_ANSWER, None, Fault.SLOW_DRIP, None]
    addresses = loopback.take(len(faults))
    machines = [family_machine("whatsminer", address, seed=n) for n, address in enumerate(addresses)]
    async with Farm(machines).listening():
        driver, sink = engine("asic-rs"), Sink()
        poller = Poller(sink, clock=now, interval_s=1.5, deadline_s=0.7)
        for address in addresses:
            miner = await driver.find(address)
            assert miner is not None
            poller.add(miner)
        for machine, fault in zip(machines, faults, strict=True):
            if fault is not None:
                machine.faults.begin(fault)
        task = asyncio.create_task(poller.run())
        await until(lambda: min(len(sink.of(address)) for address in addresses) >= 2, 15)
        for machine in machines:
            machine.faults.end()
        seen = len(sink.readings)
        await until(lambda: all(sink.answered(address)[-1] for address in addresses), 8)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    answers: dict[bool, list[bool]] = defaultdict(list)
    for reading in sink.readings[:seen]:
        answers[faults[addresses.index(reading.facts.address)] is None].append(reading.live is not None)
    assert set(answers[True]) == {True}
    assert set(answers[False]) == {False}
    for address in addresses:
        times = [reading.time for reading in sink.of(address)]
        assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=1.5)}
