"""kill -9 at any moment: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
import os
import random
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backend.store.embedded import EmbeddedStore
from backend.store.protocol import SeriesQuery
from tests.backend.readings import NOW, at
from tests.backend.store.opened import opened
from tests.backend.store.writer import ACCOUNT, AFTERWARDS, AHEAD, MACHINES, numbered, write_until_killed

ROUNDS = int(os.environ.get("ITSMINER_CRASH_ROUNDS", "50"))
"""Of each kind. A round is a tenth of a second of a quiet machine, or a fifth with seals."""


def told(pipe: Connection, deadline_s: float = 30) -> tuple[int, bool] | None:
    """What the writer says next; None when it is gone."""
    if not pipe.poll(deadline_s):
        pytest.fail("the writer is silent")
    try:
        number, stored = pipe.recv()
    except EOFError:
        return None
    return number, stored


def one_round(folder: Path, first: int, batches: int, wait_s: float, *, seals: bool = False) -> set[int]:
    """Let a writer go on from `first`, kill it some time after so many batches; what it acknowledged."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.backend.store.warmed"])
    ours, theirs = processes.Pipe(duplex=False)
    writer = processes.Process(target=write_until_killed, args=(folder, first, theirs), kwargs={"seals": seals})
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


async def counted(folder: Path, store: EmbeddedStore | None = None) -> dict[int, float]:
    """How many readings there are of each batch; the store is closed then."""
    store = store or opened(folder)
    minute = timedelta(minutes=1)
    query = SeriesQuery(metric="hashrate_ths", start=NOW, end=at(500_000), step=minute, aggregate="sum", across="sum")
    found = await store.series(ACCOUNT, query)
    await store.close()
    return {(time - NOW) // minute: value for series in found for time, value in series.points}


async def killed_again_and_again(folder: Path, rounds: int, *, seals: bool) -> None:
    """Nothing acknowledged is lost, nothing is there in part or twice."""
    chance = random.Random(1)
    acknowledged: set[int] = set()
    for _ in range(rounds):
        # With no batch to wait for it is killed while it opens what the last one left.
        # As an agent does: again from the first that was not acknowledged, which is a little before the last.
        first = next(number for number in range(1_000_000) if number not in acknowledged)
        first = max(0, first - 2)
        batches, wait_s = chance.randint(0, 10), chance.uniform(0, 0.1 if seals else 0.03)
        acknowledged |= one_round(folder, first, batches, wait_s, seals=seals)
    found = await counted(folder)
    assert acknowledged <= found.keys()
    assert set(found.values()) == {float(MACHINES)}, "each batch is there wholly and once"
    assert len(found.keys() - acknowledged) <= AHEAD * rounds


async def test_killed_while_it_stores_it_loses_nothing_and_stores_nothing_twice(tmp_path: Path) -> None:
    await killed_again_and_again(tmp_path, ROUNDS, seals=False)


@pytest.mark.slow
async def test_killed_while_it_seals_and_merges_it_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    await killed_again_and_again(tmp_path, ROUNDS, seals=True)
    store = opened(tmp_path)
    await store.tend(now=AFTERWARDS)
    found = await counted(tmp_path, store)
    assert set(found.values()) == {float(MACHINES)}
    on_disk = {path.name for path in (tmp_path / ACCOUNT / "sealed").iterdir()}
    assert {name.split("-")[0] for name in on_disk} == {"readings", "rollup_1h"}
    store = opened(tmp_path)
    assert sum((await store.usage(ACCOUNT)).values()) >= sum(
        path.stat().st_size for path in (tmp_path / ACCOUNT / "sealed").iterdir()
    ), "no file is left that does not count"
    await store.close()


async def test_what_was_written_before_the_kill_is_known_after_it(tmp_path: Path) -> None:
    acknowledged = one_round(tmp_path, 0, batches=5, wait_s=0)
    store = opened(tmp_path)
    assert [await store.write(ACCOUNT, numbered(number), now=NOW) for number in acknowledged] == [False] * len(
        acknowledged
    )
    await store.close()
