"""A pause is kept on disk, and silence is the safe side."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import pause as pauses
from agent.errors import DiskTrouble
from agent.pause import Pause
from tests.agent.until import until

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


async def test_what_others_do_with_the_file_is_done(tmp_path: Path) -> None:
    path = tmp_path / "paused"
    pause = Pause(path, lambda: NOW)
    following = asyncio.create_task(pause.follow())
    async with asyncio.timeout(5):
        pauses.begin(path, NOW)
        await pause.until_changed()
        assert pause.since == NOW
        pauses.end(path)
        await pause.until_changed()
        assert pause.since is None
    following.cancel()


async def test_a_pause_that_is_on_no_disk_is_not_ended_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "LOOK_S", 0.001)
    looked: list[Path] = []
    real = pauses._is_there

    def looking(path: Path) -> bool | None:
        looked.append(path)
        return real(path)

    monkeypatch.setattr(pauses, "_is_there", looking)
    pause = Pause(tmp_path / "gone" / "paused", lambda: NOW)
    with pytest.raises(DiskTrouble):
        await pause.begin()
    following = asyncio.create_task(pause.follow())
    await until(lambda: len(looked) > 5)
    assert pause.since == NOW
    following.cancel()


def test_a_file_of_another_user_is_a_pause_since_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "paused"
    path.write_bytes(b"\xff")
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert pauses.since(path) == NOW
