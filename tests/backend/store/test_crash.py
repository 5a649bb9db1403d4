"""kill -9 at any moment: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
import random
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backend.store.protocol import SeriesQuery
from tests.backend.readings import NOW, at
from tests.backend.store.opened import opened
from tests.backend.store.writer import ACCOUNT, AHEAD, MACHINES, numbered, write_until_killed

ROUNDS = 24


def told(pipe: Connection, deadline_s: float = 30) -> tuple[int, bool] | None:
    """What the writer says next; None when it is gone."""
    if not pipe.poll(deadline_s):
        pytest.fail("the writer is silent")
    try:
        number, stored = pipe.recv()
    except EOFError:
        return None
    return number, stored


def one_round(folder: Path, first: int, batches: int, wait_s: float) -> set[int]:
    """Let a writer go on from `first`, kill it some time after so many batches; what it acknowledged."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.backend.store.writer"])
    ours, theirs = processes.Pipe(duplex=False)
    writer = processes.Process(target=write_until_killed, args=(folder, first, theirs))
    writer.start()
    theirs.close()
    acknowledged: set[int] = set()
    while len(acknowledged) < batches:
        heard = told(ours)
        assert heard is not None, "the writer died by itself"
        acknowledged.add(heard[0])
    writer.join(wait_s)
    writer.kill()
    while (heard := told(ours)) is not None:
        acknowledged.add(heard[0])
    writer.join()
    writer.close()
    ours.close()
    return acknowledged


async def counted(folder: Path) -> dict[int, float]:
    """How many readings there are of each batch."""
    store = opened(folder)
    minute = timedelta(minutes=1)
    query = SeriesQuery(metric="hashrate_ths", start=NOW, end=at(500_000), step=minute, aggregate="sum", across="sum")
    found = await store.series(ACCOUNT, query)
    await store.close()
    return {(time - NOW) // minute: value for series in found for time, value in series.points}


async def test_killed_again_and_again_it_loses_nothing_acknowledged_and_stores_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(1)
    acknowledged: set[int] = set()
    for _ in range(ROUNDS):
        # As an agent does: again from the first that was not acknowledged, which is a little before the last.
        first = next(number for number in range(1_000_000) if number not in acknowledged)
        first = max(0, first - 2)
        acknowledged |= one_round(tmp_path, first, batches=chance.randint(1, 12), wait_s=chance.uniform(0, 0.05))
    found = await counted(tmp_path)
    assert acknowledged <= found.keys()
    assert set(found.values()) == {float(MACHINES)}, "each batch is there wholly and once"
    assert len(found.keys() - acknowledged) <= AHEAD * ROUNDS


async def test_what_was_written_before_the_kill_is_known_after_it(tmp_path: Path) -> None:
    acknowledged = one_round(tmp_path, 0, batches=5, wait_s=0)
    store = opened(tmp_path)
    assert [await store.write(ACCOUNT, numbered(number), now=NOW) for number in acknowledged] == [False] * len(
        acknowledged
    )
    await store.close()
