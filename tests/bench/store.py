"""`make bench BENCH=store`: the embedded engine: ingest, questions, size, forgetting.

`ITSMINER_BENCH_MACHINES` (100) and `ITSMINER_BENCH_DAYS` (30) say how large the data set is; the full one is 1000 × 30,
and takes ten minutes and more to make. `ITSMINER_BENCH_DATA` names a folder in which it is kept from run to run.
`ITSMINER_BENCH_PART=ingest` measures nothing but ingest, in two minutes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from backend.ids import AccountId
from backend.store import columns
from backend.store.arriving import arrived
from backend.store.embedded import EmbeddedStore
from backend.store.instance import Instance
from backend.store.keys import Keys
from backend.store.protocol import SeriesQuery
from tests.backend.readings import batch, machine
from tests.bench import ingest
from tests.bench.dataset import fill
from tests.bench.polls import polls

MACHINES: Final = int(os.environ.get("ITSMINER_BENCH_MACHINES", "100"))
DAYS: Final = int(os.environ.get("ITSMINER_BENCH_DAYS", "30"))
DATA: Final = os.environ.get("ITSMINER_BENCH_DATA")
PART: Final = os.environ.get("ITSMINER_BENCH_PART")
END: Final = datetime(2026, 1, 31, tzinfo=UTC)
NOW: Final = END + timedelta(hours=10)
"""Ten hours of the last day are not sealed."""
A: Final = AccountId("acc_bench")
POLLS_S: Final = 1_000
"""Of ingest while questions are asked."""


def main() -> dict[str, float]:
    """Print the table; the figures by name."""
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        figures = asyncio.run(_measure(Path(folder)))
    table = Table("figure", "value", "target", box=None)
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}", _TARGETS.get(name, ""))
    Console().print(table)
    return figures


_TARGETS: Final = {
    "ingest_polls_s_100": "≥ 5,000",
    "ingest_polls_s_500": "≥ 5,000",
    "ingest_vs_raw": "≥ 0.35",
    "latest_ms": "≤ 50",
    "machine_24h_ms": "≤ 30",
    "fleet_30d_ms": "≤ 100",
    "p95_7d_ms": "≤ 150",
    "sealed_bytes_per_poll": "≤ 35",
    "rollup_share": "≤ 0.03",
    "drop_20d_s": "≤ 1",
}


async def _measure(folder: Path) -> dict[str, float]:
    figures = await _ingest(folder)
    if PART == "ingest":
        return figures
    store = await _filled(folder / "store")
    try:
        figures |= await _questions(store)
        figures |= await _sizes(store)
        figures |= await _forgetting(store)
    finally:
        await store.close()
    return figures


async def _filled(folder: Path) -> EmbeddedStore:
    """The store with the data set in it; a copy of what is kept, if it is."""
    is_kept: bool = await asyncio.to_thread(Path(DATA).exists) if DATA else False
    if DATA and is_kept:
        shutil.copytree(DATA, folder)
        return EmbeddedStore(folder, clock=lambda: NOW)
    made = Path(DATA) if DATA else folder
    filling = EmbeddedStore(made, clock=lambda: NOW, memory_mb=2_000)
    fill(filling, A, machines=MACHINES, days=DAYS, end=END, now=NOW)
    await filling.close()
    return await _filled(folder) if DATA else EmbeddedStore(folder, clock=lambda: NOW)


async def _ingest(folder: Path) -> dict[str, float]:
    """At both sizes of batches, each beside the engine alone."""
    figures: dict[str, float] = {}
    for size, each in ((100, 40), (500, 10)):
        rate = await ingest.measured(folder / f"of{size}", size, each=each)
        raw = _raw_polls_s(folder / f"raw{size}", size)
        figures |= {
            f"ingest_polls_s_{size}": rate.polls_s,
            f"ingest_polls_cpu_s_{size}": rate.polls_cpu_s,
            f"raw_polls_s_{size}": raw,
            f"ingest_vs_raw_{size}": rate.polls_s / raw,
        }
    return figures | {"ingest_vs_raw": figures["ingest_vs_raw_500"]}


def _raw_polls_s(folder: Path, size: int) -> float:
    """The engine alone, on one core: a row a machine and three of its boards, in the same tables, encrypted, a commit a
    batch. The rows are Arrow tables that are ready."""
    folder.mkdir()
    with ingest.pinned(0):
        instance = Instance(folder / "spill", memory_mb=512)
        instance.attach(A, folder / "raw.duckdb", Keys(bytes(32)).make(folder / "key", A))
        batches = [batch(polls(size, NOW - timedelta(minutes=number))) for number in range(20_000 // size)]
        tables = [arrived([one]) for one in batches]
        with instance.cursor(A) as cursor:
            for table in columns.TABLES:
                cursor.execute(table)
            started_s = time.perf_counter()
            for new in tables:
                cursor.begin()
                cursor.register("new_readings", new.readings)
                cursor.register("new_boards", new.boards)
                cursor.execute("INSERT INTO readings BY NAME SELECT *, 1 AS written FROM new_readings")
                cursor.execute("INSERT INTO boards BY NAME SELECT *, 1 AS written FROM new_boards")
                cursor.commit()
            took_s = time.perf_counter() - started_s
        instance.close()
    return size * len(tables) / took_s


async def _questions(store: EmbeddedStore) -> dict[str, float]:
    """Medians, while polls come in at `POLLS_S`."""
    await store.write(A, batch(polls(MACHINES, NOW - timedelta(minutes=1))), now=NOW)
    hour, minutes5 = timedelta(hours=1), timedelta(minutes=5)
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "latest_ms": lambda: store.latest(A),
        "machine_24h_ms": lambda: store.series(
            A,
            SeriesQuery(
                metric="hashrate_ths", start=NOW - timedelta(days=1), end=NOW, step=minutes5, machines=(machine(7),)
            ),
        ),
        "fleet_30d_ms": lambda: store.fleet(
            A, metrics=["hashrate_ths"], start=NOW - timedelta(days=30), end=NOW, step=hour
        ),
        "p95_7d_ms": lambda: store.series(
            A,
            SeriesQuery(
                metric="chip_temp_c", start=NOW - timedelta(days=7), end=NOW, step=hour, aggregate="max", across="p95"
            ),
        ),
        "fleet_24h_5m_ms": lambda: store.fleet(
            A, metrics=["hashrate_ths"], start=NOW - timedelta(days=1), end=NOW, step=minutes5
        ),
    }
    figures = {}
    stop = asyncio.Event()
    ingest = asyncio.create_task(_background(store, stop))
    for name, ask in questions.items():
        times = []
        for _ in range(9):
            started_s = time.perf_counter()
            await ask()
            times.append((time.perf_counter() - started_s) * 1_000)
        figures[name] = median(times)
    stop.set()
    await ingest
    return figures


async def _background(store: EmbeddedStore, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        started_s = time.perf_counter()
        number += 1
        await store.write(A, batch(polls(500, NOW + timedelta(seconds=number))), now=NOW)
        await asyncio.sleep(max(0.0, 500 / POLLS_S - (time.perf_counter() - started_s)))


async def _sizes(store: EmbeddedStore) -> dict[str, float]:
    with store.file(A) as file, file.reading() as cursor:
        sizes = dict(cursor.execute("SELECT kind, sum(bytes)::BIGINT FROM parts GROUP BY kind").fetchall())
    raw = sizes["readings"] + sizes["boards"]
    return {
        "sealed_bytes_per_poll": raw / (MACHINES * 1440 * DAYS),
        "rollup_share": sizes["rollup_1h"] / raw,
    }


async def _forgetting(store: EmbeddedStore) -> dict[str, float]:
    """Drop all but the newest ten days."""
    await store.set_window(A, "telemetry_raw", NOW - END + timedelta(days=10))
    await store.set_window(A, "telemetry_rollup", NOW - END + timedelta(days=10))
    before = sum((await store.usage(A)).values())
    started_s = time.perf_counter()
    await store.sweep(A, now=NOW)
    took_s = time.perf_counter() - started_s
    return {"drop_20d_s": took_s, "dropped_share": 1 - sum((await store.usage(A)).values()) / before}
