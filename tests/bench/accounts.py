"""`make bench BENCH=accounts`: what 500 accounts cost that are written one after the other: files, threads, memory.

`ITSMINER_BENCH_ACCOUNTS` and `ITSMINER_BENCH_ROUNDS` say how many and how often. At most 32 accounts' files are open
(`store.open_accounts`), so each write opens its file anew: the worst that can come.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil

from backend.ids import AccountId
from backend.store.embedded import EmbeddedStore
from tests.backend.readings import batch
from tests.bench.polls import polls

ACCOUNTS: Final = int(os.environ.get("ITSMINER_BENCH_ACCOUNTS", "500"))
ROUNDS: Final = int(os.environ.get("ITSMINER_BENCH_ROUNDS", "10"))
MACHINES: Final = 20
AT_ONCE: Final = 8
NOW: Final = datetime(2026, 1, 31, tzinfo=UTC)


def main() -> dict[str, float]:
    """Print the figures; the most that was seen of each."""
    with tempfile.TemporaryDirectory(prefix="bench-accounts-") as folder:
        figures = asyncio.run(_measure(Path(folder)))
        figures["disk_mb"] = sum(path.stat().st_blocks for path in Path(folder).rglob("*")) * 512 / 1e6
    for name, value in figures.items():
        print(f"{name:24} {value:>10,.1f}")
    return figures


async def _measure(folder: Path) -> dict[str, float]:
    process = psutil.Process()
    before_mb = process.memory_info().rss / 1e6
    most = {"open_files": 0.0, "threads": 0.0, "rss_mb": 0.0}
    after_mb: dict[str, float] = {}
    store = EmbeddedStore(folder, clock=lambda: NOW)
    began_s = time.perf_counter()
    try:
        for number in range(ROUNDS):
            waiting = iter([AccountId(f"acc_{account}") for account in range(ACCOUNTS)])
            readings = polls(MACHINES, NOW + timedelta(minutes=number))

            async def write() -> None:
                for account in waiting:  # noqa: B023 - of this round, which ends before the next one begins
                    await store.write(account, batch(readings), now=NOW)  # noqa: B023
                    seen = {
                        "open_files": process.num_fds(),
                        "threads": process.num_threads(),
                        "rss_mb": process.memory_info().rss / 1e6,
                    }
                    most.update({name: max(value, seen[name]) for name, value in most.items()})

            async with asyncio.TaskGroup() as writing:
                for _ in range(AT_ONCE):
                    writing.create_task(write())
            after_mb[f"rss_mb_round_{number + 1}"] = process.memory_info().rss / 1e6
        took_s = time.perf_counter() - began_s
    finally:
        await store.close()
    return {
        **most,
        "rss_mb_before": before_mb,
        **after_mb,
        "ms_per_write": took_s * 1_000 / (ACCOUNTS * ROUNDS),
    }
