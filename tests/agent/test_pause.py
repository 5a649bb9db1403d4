"""A pause is kept on disk, and silence is the safe side."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.errors import DiskTrouble
from agent.pause import Pause

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_a_pause_survives_a_restart_and_ends_when_told(tmp_path: Path) -> None:
    path = tmp_path / "paused"
    first = Pause(path, lambda: NOW)
    assert first.since is None
    async with asyncio.timeout(5):
        await first.until_over()
        await first.begin()
        await first.until_begun()
    again = Pause(path, lambda: NOW)
    assert again.since == NOW
    await again.end()
    assert again.since is None
    assert Pause(path, lambda: NOW).since is None


async def test_a_file_that_means_nothing_is_a_pause(tmp_path: Path) -> None:
    (tmp_path / "paused").write_bytes(b"\xff")
    assert Pause(tmp_path / "paused", lambda: NOW).since is not None


async def test_a_pause_that_the_disk_does_not_take_is_on_all_the_same_and_that_is_said(tmp_path: Path) -> None:
    pause = Pause(tmp_path / "gone" / "paused", lambda: NOW)
    with pytest.raises(DiskTrouble):
        await pause.begin()
    assert pause.since == NOW
