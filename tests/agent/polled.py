"""Machines that do as told, asked by a real `Poller`, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from agent.poll import Poller
from agent.reading import Facts, Live, RawReading

LIVE = Live(hashrate_ths=100.0, uptime_s=5)


def now() -> datetime:
    return datetime.now(UTC)


class Scripted:
    """A miner that does as told: `does` is called at each read."""

    def __init__(self, address: str, does: Callable[[], Live] = lambda: LIVE, *, takes_s: float = 0.0) -> None:
        self.facts = Facts(address=address, driver="test 1")
        self.does = does
        self.takes_s = takes_s
        self.reads: list[float] = []
        self.refreshes = 0
        self.next_facts: Facts | None = None

    async def read(self) -> Live:
        self.reads.append(time.monotonic())
        await asyncio.sleep(self.takes_s)
        return self.does()

    async def refresh(self) -> Facts:
        self.refreshes += 1
        self.facts = self.next_facts or self.facts
        return self.facts


class Sink:
    """Keeps the readings."""

    def __init__(self) -> None:
        self.readings: list[RawReading] = []

    def __call__(self, reading: RawReading) -> None:
        self.readings.append(reading)

    def of(self, address: str) -> list[RawReading]:
        return [reading for reading in self.readings if reading.facts.address == address]

    def answered(self, address: str) -> list[bool]:
        return [reading.live is not None for reading in self.of(address)]


def fail(error: Exception) -> Callable[[], Live]:
    def does() -> Live:
        raise error

    return does


@asynccontextmanager
async def polling(sink: Sink, *miners: Scripted, interval_s: float = 0.4, **options: object) -> AsyncIterator[Poller]:
    poller = Poller(sink, clock=now, interval_s=interval_s, **options)  # type: ignore[arg-type]
    for miner in miners:
        poller.add(miner)
    task = asyncio.create_task(poller.run())
    try:
        yield poller
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
