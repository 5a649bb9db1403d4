"""kill -9 in mid-flight: what the spool took arrives, and arrives once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from agent.wire import decode
from tests.e2e.waiting import until
from tests.loopback import take
from tests.world.stored import opened
from tests.world.world import World, world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class SpoolWatch:
    """Notes the id of every batch that was in the spool, acknowledged or not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ids: set[str] = set()

    async def grow(self) -> None:
        """Wait for a batch that was not there before."""
        before = len(self.ids)

        async def count() -> int:
            return len(self.ids)

        await until(count, lambda now: now > before)

    async def run(self) -> None:
        seen: set[str] = set()
        while True:
            for path in self._folder.glob("*.batch"):
                if path.name not in seen:
                    try:
                        data = path.read_bytes()
                    except FileNotFoundError:
                        continue  # acknowledged in this moment
                    self.ids.add(str(decode(zstandard.decompress(data)).id))
                    seen.add(path.name)
            await asyncio.sleep(0.005)


def stored(here: World) -> tuple[set[str], Counter[tuple[Any, ...]]]:
    """Batch ids and how often each (machine, time) is in the store. Only while the backend is down."""
    (path,) = (here.folder / "backend").rglob("hot.duckdb")
    with opened(path) as database:
        ids = {str(row[0]) for row in database.execute("SELECT id FROM batches").fetchall()}
        readings = Counter(database.execute("SELECT machine, time FROM readings").fetchall())
    return ids, readings


async def _run(here: World, machines: int) -> None:
    await here.start_farm("--mix", f"whatsminer:{machines}", "--base", take(machines)[0])
    await here.enrol()
    await here.start_agent()


async def _drained(here: World) -> None:
    async def waiting() -> int:
        return len(list((here.folder / "agent" / "spool").glob("*.batch")))

    await until(waiting, lambda count: count == 0, deadline_s=100)  # the uplink backs off to a minute


async def test_killing_agent_backend_or_both_and_losing_answers_loses_and_doubles_nothing_spooled(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)
    async with world(tmp_path, interval_s=1) as here:
        await _run(here, machines=8)
        assert here.wire is not None
        watch = SpoolWatch(here.folder / "agent" / "spool")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run(), name="watch the spool")
            for victims in ("agent", "backend", "agent and backend", "agent"):
                await watch.grow()
                here.wire.cut_answers = victims == "backend"  # it has the batch, and the agent does not learn it
                await asyncio.sleep(chance.random() * 1.2)  # anywhere in a round: poll, write, send, answer
                if "agent" in victims:
                    await here.agent.kill()
                if "backend" in victims:
                    await here.backend.kill()
                    await here.start_backend()
                here.wire.cut_answers = False
                if "agent" in victims:
                    await here.start_agent()
            await watch.grow()
            await _drained(here)
            await here.agent.stop()
            await _drained(here)
            watching.cancel()
        fired = await here.get("/v1/warnings", state="all")
        assert fired["warnings"] == []  # a farm in order, and programs that were away only for moments
        await here.backend.stop()
        ids, readings = stored(here)
    assert len(watch.ids) >= 5
    assert watch.ids - ids == set()
    assert [place for place, count in readings.items() if count > 1] == []
