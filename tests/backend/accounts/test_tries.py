"""Tries of one address, counted by all backends of a registry together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from backend.accounts import tries
from backend.registry.database import Database
from backend.registry.sealing import KeySource
from tests.backend.readings import NOW
from tests.backend.registry import databases

MINUTE = timedelta(minutes=1)


async def tried(registry: Database, who: str = "192.0.2.0", *, after: timedelta = timedelta(0)) -> float:
    async with registry.begin() as session:
        return await tries.wait_s(session, "log-in", who, most=3, window=MINUTE, now=NOW + after)


@pytest.mark.parametrize("kind", databases.KINDS)
async def test_two_backends_count_together_until_the_window_is_over(kind: str, tmp_path: Path) -> None:
    url, keys = databases.url(kind, tmp_path), KeySource(lambda: databases.KEYS)
    both = [Database(url, keys=keys) for _ in range(2)]
    await both[0].migrate()
    waits = await asyncio.gather(*(tried(both[number % 2]) for number in range(5)))
    assert sorted(waits) == [0, 0, 0, 60, 60]
    assert await tried(both[0], "198.51.100.0") == 0
    assert await tried(both[1], after=timedelta(seconds=59)) == 1
    assert await tried(both[1], after=MINUTE) == 0
    async with both[0].begin() as session:
        await tries.forget_old(session, now=NOW + 3 * MINUTE)
    for each in both:
        await each.close()
