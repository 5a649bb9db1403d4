"""Readings become batches, and a disk that fails holds no poll up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.batcher import Batcher
from agent.errors import DiskTrouble
from agent.spool import Spool
from agent.wire import Batch
from tests.agent.raw import NOON, reading
from tests.agent.until import until


class Disk(Spool):
    """A spool whose disk can be filled up."""

    full = False

    def append(self, batch: Batch) -> int:
        if self.full:
            raise DiskTrouble("the disk is full: /x")
        return super().append(batch)


EPOCH = "epo-0123456789abcdef"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, 2**30)


@contextlib.asynccontextmanager
async def gathering(disk: Spool, size: int = 10, flush_s: float = 0.05) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        disk, "sit_1", EPOCH, lambda: NOON, batch_readings=size, flush_s=flush_s, spooled=lambda: None, retry_s=0.02
    )
    running = asyncio.create_task(batcher.run())
    yield batcher
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def taken(disk: Spool) -> list[Batch]:
    found = []
    while (spooled := disk.next_up()) is not None:
        found.append(spooled.batch)
        disk.acknowledge(spooled.sequence)
    return found


async def test_a_full_batch_leaves_at_once(disk: Disk) -> None:
    async with gathering(disk, flush_s=60) as batcher:
        for number in range(25):
            batcher.add(reading(number))
        await until(lambda: disk.backlog().batches == 3)
    assert [len(batch.readings) for batch in taken(disk)] == [10, 10, 5]


async def test_a_batch_that_is_not_full_leaves_after_its_time(disk: Disk) -> None:
    async with gathering(disk) as batcher:
        batcher.add(reading(1))
        await until(lambda: disk.backlog().batches == 1)
        batcher.add(reading(2))
        await until(lambda: disk.backlog().batches == 2)
    batches = taken(disk)
    assert [batch.readings[0].machine for batch in batches] == [reading(1).machine, reading(2).machine]
    assert len({batch.id for batch in batches}) == 2
    assert {(batch.site, batch.sent_at) for batch in batches} == {("sit_1", NOON)}


async def test_a_disk_that_fails_is_told_once_and_its_recovery_once_and_nothing_is_lost(disk: Disk) -> None:
    disk.full = True
    with capture_logs() as logs:
        async with gathering(disk) as batcher:
            for number in range(45):
                batcher.add(reading(number))
                await asyncio.sleep(0.002)
            await until(lambda: batcher.trouble)
            assert "disk is full" in batcher.trouble
            disk.full = False
            await until(lambda: not batcher.trouble)
            await batcher.flush()
            assert batcher.dropped_readings == 0
    machines = [one.machine for batch in taken(disk) for one in batch.readings]
    assert machines == [reading(number).machine for number in range(45)]
    assert [entry["event"] for entry in logs] == ["spool.trouble", "spool.recovered"]


async def test_memory_is_bounded_while_the_disk_fails(disk: Disk) -> None:
    disk.full = True
    batcher = Batcher(disk, "sit_1", EPOCH, lambda: NOON, batch_readings=10, flush_s=1, spooled=lambda: None)
    for number in range(400):
        batcher.add(reading(number))
    await batcher.flush()
    assert batcher.dropped_readings == 200
    disk.full = False
    await batcher.flush()
    assert taken(disk)[0].readings[0].machine == reading(200).machine


async def test_a_cancelled_flush_neither_loses_nor_doubles(disk: Disk) -> None:
    batcher = Batcher(disk, "sit_1", EPOCH, lambda: NOON, batch_readings=1, flush_s=1, spooled=lambda: None)
    for number in range(50):
        batcher.add(reading(number))
    for _ in range(20):
        flushing = asyncio.create_task(batcher.flush())
        await asyncio.sleep(0.001)
        flushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flushing
    await batcher.flush()
    batches = taken(disk)
    assert [batch.readings[0].machine for batch in batches] == [reading(number).machine for number in range(50)]
    assert len({batch.id for batch in batches}) == 50
