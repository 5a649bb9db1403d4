"""kill -9 at any moment: nothing that was spooled is lost, and nothing is there twice."""

from __future__ import annotations

import random
import time
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from agent.packing import unpack
from agent.spool import Spool
from tests import forked
from tests.agent.victim import spool_and_send

ROUNDS = 30


def _lines(path: Path) -> list[int]:
    """Whole lines: the last one may be cut by the kill."""
    data = path.read_bytes() if path.exists() else b""
    return [int(line) for line in data[: data.rfind(b"\n") + 1].split()]


def _waiting(folder: Path) -> list[UUID]:
    """The ids of the batches that the spool holds."""
    found = []
    with Spool(folder, 1 << 30) as spool:
        assert not list(folder.glob("*.tmp"))
        for path in sorted(folder.glob("*.batch")):
            found.append(unpack(path.read_bytes()).id)
        assert spool.counts.quarantined == 0
        assert spool.counts.dropped_batches == 0
    return found


@pytest.mark.slow
def test_a_spool_that_is_killed_over_and_over_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    for round_number in range(ROUNDS):
        first = (round_number + 1) * 10_000_000
        process = forked.processes().Process(target=spool_and_send, args=(str(tmp_path), first))
        process.start()
        enough = first + random.randrange(12)
        deadline = time.monotonic() + 20
        while max(_lines(tmp_path / "confirmed"), default=0) < enough:
            assert process.is_alive(), "the victim ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.01))
        process.kill()
        process.join()
        ids = _waiting(folder)
        assert len(set(ids)) == len(ids), "a batch is there twice"
        delivered = set(_lines(tmp_path / "delivered"))
        for number in _lines(tmp_path / "confirmed"):
            whole = UUID(int=number)
            halves = {uuid5(whole, "first half"), uuid5(whole, "second half")}
            if whole in ids:
                assert not halves & set(ids), f"round {round_number}: batch {number} is there whole and halved"
                continue
            if number in delivered and number % 3 != 2:
                continue
            # It had three readings and was halved: each half waits or is delivered.
            assert number in delivered, f"round {round_number}: batch {number} is lost"
            assert halves <= set(ids) | {UUID(int=one) for one in delivered}, f"half of batch {number} is lost"
    assert len(_lines(tmp_path / "confirmed")) >= ROUNDS
    assert _lines(tmp_path / "delivered")
