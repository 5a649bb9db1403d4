"""Disks that are really full, really read-only, and come back: a small one of memory is mounted for each test."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent import durable
from agent.batcher import Batcher
from agent.errors import DiskTrouble
from agent.spool import Spool
from tests.agent.raw import NOON, batch, reading
from tests.agent.until import until

BLOCKS = 40
"""Pages of 4 kB on the disk."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={BLOCKS * 4}k"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on the disk."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4_096)
    return ballast


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


@pytest.mark.parametrize("trouble", ["full", "read-only"])
async def test_a_disk_that_takes_nothing_is_told_once_and_what_was_read_meanwhile_is_kept(
    small_disk: Path, trouble: str
) -> None:
    with Spool(small_disk / "spool", 2**30) as spool:
        spool.append(batch(1))
        batcher = Batcher(
            spool,
            "sit_1",
            "epo-0123456789abcdef",
            lambda: NOON,
            batch_readings=10,
            flush_s=0.01,
            spooled=lambda: None,
            retry_s=0.02,
        )
        running = asyncio.create_task(batcher.run())
        ballast = small_disk / "ballast"
        with capture_logs() as logs:
            if trouble == "full":
                fill(small_disk)
            else:
                remount(small_disk, "ro")
            for number in range(25):
                batcher.add(reading(number))
            await until(lambda: f"the disk is {trouble}" in batcher.trouble)
            assert batcher.held_readings == 25
            if trouble == "full":
                ballast.unlink()
            else:
                remount(small_disk, "rw")
            await until(lambda: batcher.held_readings == 0)
            await until(lambda: batcher.trouble == "")
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        events = [entry["event"] for entry in logs]
        assert (events.count("spool.trouble"), events.count("spool.recovered")) == (1, 1)
    with Spool(small_disk / "spool", 2**30) as spool:
        found = 0
        while (spooled := spool.next_up()) is not None:
            found += spooled.envelope.readings
            spool.acknowledge(spooled.sequence)
        assert found == 26


def test_on_a_full_disk_what_waits_can_be_sent_and_makes_room(small_disk: Path) -> None:
    with Spool(small_disk / "spool", 2**30) as spool:
        for number in range(3):
            spool.append(batch(number, readings=20))
        fill(small_disk)
        with pytest.raises(DiskTrouble, match="the disk is full"):
            spool.append(batch(9, readings=20))
        while (spooled := spool.next_up()) is not None:
            spool.acknowledge(spooled.sequence)
        spool.append(batch(9, readings=20))
        assert spool.backlog().batches == 1


def test_a_file_that_is_written_anew_on_a_full_disk_stays_what_it_was(small_disk: Path) -> None:
    path = small_disk / "status.json"
    durable.write(path, b"before")
    fill(small_disk)
    with pytest.raises(DiskTrouble, match="the disk is full"):
        durable.write(path, b"x" * 100_000)
    assert path.read_bytes() == b"before"
    assert sorted(one.name for one in small_disk.iterdir()) == ["ballast", "status.json"]
