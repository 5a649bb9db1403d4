"""Loopback addresses for simulated machines: each test takes its own, each xdist worker has its own block.

Two runs at the same time on one machine begin at different places of a block, so that they rarely meet.
"""

from __future__ import annotations

import itertools
import os

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = itertools.count(os.getppid() % 60 * 1_000 + 1)


def take(count: int = 1) -> list[str]:
    """`count` addresses of 127.100–131.x.y that no other test of this run uses."""
    return [f"127.{100 + _worker}.{n // 250}.{n % 250 + 1}" for n in itertools.islice(_next, count)]
