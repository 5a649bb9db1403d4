"""`make bench BENCH=store`: the embedded engine: ingest, questions, size, forgetting.

`ITSMINER_BENCH_MACHINES` (200) and `ITSMINER_BENCH_DAYS` (30) say how large the data set is; the full one is 1000 × 30.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import zstandard
from aiohttp import ClientSession
from rich.console import Console
from rich.table import Table

from agent.wire import Board, Pool, Reading, State, encode
from backend.ids import AccountId
from backend.store import columns, rollups, sealing
from backend.store.embedded import EmbeddedStore
from backend.store.hot import naive, touch
from backend.store.instance import Instance
from backend.store.keys import Keys
from backend.store.protocol import SeriesQuery
from tests.backend.console.served import serving
from tests.backend.readings import batch, machine

MACHINES: Final = int(os.environ.get("ITSMINER_BENCH_MACHINES", "200"))
DAYS: Final = int(os.environ.get("ITSMINER_BENCH_DAYS", "30"))
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
    "ingest_polls_s_100": "",
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
    of_100, _ = await _ingest(folder / "of100", 100)
    of_500, of_a_core = await _ingest(folder / "of500", 500)
    figures = {
        "ingest_polls_s_100": of_100,
        "ingest_polls_s_500": of_500,
        "ingest_polls_cpu_s_500": of_a_core,
        "ingest_vs_raw": of_500 / _raw_polls_s(folder / "raw"),
    }
    store = EmbeddedStore(folder / "store", clock=lambda: NOW)
    try:
        sealing_s = await asyncio.to_thread(_fill, store)
        figures |= await _questions(store)
        figures |= await _sizes(store)
        figures |= await _forgetting(store)
        figures["sealing_polls_s"] = MACHINES * 1440 * DAYS / sealing_s
    finally:
        await store.close()
    return figures


async def _ingest(folder: Path, size: int) -> tuple[float, float]:
    """Polls a second over HTTP, decoded, checked and committed, and polls a second of CPU.

    This process is server and client.
    """
    await asyncio.to_thread(folder.mkdir)
    async with serving(folder) as served:
        tenant = await served.tenant("Bench")
        headers = {
            "Authorization": f"Bearer {tenant.agent_token}",
            "Content-Type": "application/json",
            "Content-Encoding": "zstd",
        }
        pack = zstandard.ZstdCompressor(level=3).compress
        bodies = [
            pack(encode(batch(_polls(size, served.now - timedelta(minutes=number)), site=tenant.site)))
            for number in range(int(40_000 / size))
        ]
        waiting = iter(bodies)
        started_s, cpu_s = time.perf_counter(), time.process_time()
        async with ClientSession() as client:

            async def agent() -> None:
                for body in waiting:
                    async with client.post(f"{served.url}/v1/batches", data=body, headers=headers) as answer:
                        assert answer.status == 200, await answer.text()

            async with asyncio.TaskGroup() as agents:
                for _ in range(8):
                    agents.create_task(agent())
        polls = size * len(bodies)
        return polls / (time.perf_counter() - started_s), polls / (time.process_time() - cpu_s)


def _raw_polls_s(folder: Path) -> float:
    """The engine alone: the same rows, as Arrow tables that are ready, in commits of 500, encrypted too."""
    folder.mkdir()
    instance = Instance(folder / "spill", memory_mb=512)
    instance.attach(A, folder / "raw.duckdb", Keys(bytes(32)).make(folder / "key", A))
    tables = [
        (columns.readings(one), columns.boards(one))
        for number in range(40)
        for one in [batch(_polls(500, NOW - timedelta(minutes=number)))]
    ]
    with instance.cursor(A) as cursor:
        for table in columns.TABLES:
            cursor.execute(table)
        started_s = time.perf_counter()
        for readings, boards in tables:
            cursor.begin()
            cursor.register("new_readings", readings)
            cursor.register("new_boards", boards)
            cursor.execute("INSERT INTO readings BY NAME SELECT *, 1 AS written FROM new_readings")
            cursor.execute("INSERT INTO boards BY NAME SELECT *, 1 AS written FROM new_boards")
            cursor.commit()
        took_s = time.perf_counter() - started_s
    instance.close()
    return 500 * len(tables) / took_s


def _polls(machines: int, at: datetime) -> list[Reading]:
    """One poll of each machine: a reading and three boards."""
    chance = random.Random(at.timestamp())
    return [
        Reading(
            time=at,
            machine=machine(number),
            make="MicroBT",
            model="M50S++",
            firmware="20230101.12.Rel",
            driver="pyasic-rs 0.8.6",
            read_ms=round(chance.uniform(8, 20), 1),
            state=State.HASHING,
            is_meant_to_mine=True,
            hashrate_ths=round(chance.uniform(149, 151), 2),
            expected_ths=150.0,
            power_w=round(chance.uniform(3285, 3315)),
            efficiency_j_per_th=round(chance.uniform(21.8, 22.2), 2),
            uptime_s=864_000.0,
            inlet_temp_c=25.0,
            outlet_temp_c=41.0,
            fans_rpm=(5820, 5850),
            boards=tuple(
                Board(
                    index=index,
                    hashrate_ths=round(chance.uniform(49.5, 50.5), 2),
                    expected_ths=50.0,
                    board_temp_c=float(chance.randint(60, 63)),
                    chip_temp_c=float(chance.randint(76, 80)),
                    chips_working=117,
                    chips_expected=117,
                    frequency_mhz=601.0,
                    voltage_v=12.3,
                )
                for index in range(3)
            ),
            shares_accepted=123_456,
            shares_rejected=7,
            shares_stale=1,
            last_share_age_s=float(chance.randint(0, 10)),
            pools=(Pool(host="pool.example.com", account="act-" + "0" * 16, alive=True, active=True),),
            pool_expected=True,
            fault_codes=(),
        )
        for number in range(machines)
    ]


def _fill(store: EmbeddedStore) -> float:
    """The data set, made by the engine itself, day by day, and sealed; seconds that sealing took."""
    took_s = 0.0
    with store.file(A) as file:
        for number in range(DAYS + 1):
            start = END - timedelta(days=DAYS - number)
            minutes = 1440 if start < END else 600
            with file.writing() as cursor:
                commit = file.next_commit()
                cursor.execute(
                    _READINGS, {"machines": MACHINES, "minutes": minutes, "start": naive(start), "n": commit}
                )
                cursor.execute(_BOARDS, {"machines": MACHINES, "minutes": minutes, "start": naive(start), "n": commit})
                hours = f"(SELECT TIMESTAMP '{naive(start)}' + to_hours(range) AS time FROM range({minutes // 60}))"
                touch(cursor, hours, commit)
            started_s = time.perf_counter()
            if start < END:
                sealing.seal(file, start.date())
            else:
                rollups.roll(file, now=NOW)
            took_s += time.perf_counter() - started_s
    return took_s


_AT: Final = (
    "$start + to_minutes(minute) AS time, 'sit_north' AS site, 'mnr-' || lpad(number::VARCHAR, 16, '0') AS machine"
)
_READINGS: Final = f"""INSERT INTO readings BY NAME SELECT $n AS written, {_AT}, 'hashing' AS state,
    149000 + 10 * (random() * 200)::INTEGER AS hashrate_ths, 150000 AS expected_ths,
    32850 + 10 * (random() * 30)::INTEGER AS power_w, 2180 + (random() * 40)::INTEGER AS efficiency_j_per_th,
    10 * (epoch($start)::BIGINT % 1000000 + minute * 60) AS uptime_s, 2500 + 100 * ((minute // 60) % 5) AS inlet_temp_c,
    4100 + 100 * (random() * 2)::INTEGER AS outlet_temp_c, 7700 + 100 * (random() * 3)::INTEGER AS chip_temp_c,
    6100 + 100 * (random() * 2)::INTEGER AS board_temp_c, 5820 AS fan_min_rpm,
    5850 + 30 * (random() * 2)::INTEGER AS fan_max_rpm,
    3 AS boards_hashing, 351 AS chips_working, 351 AS chips_expected, 100000 + minute * 4 AS shares_accepted,
    7 + minute // 300 AS shares_rejected, 1 AS shares_stale, 100 * (random() * 10)::INTEGER AS last_share_age_s,
    80 + (random() * 120)::INTEGER AS read_ms, 0 AS fault_count, true AS is_meant_to_mine, true AS pool_expected,
    'MicroBT' AS make, 'M50S++' AS model, '20230101.12.Rel' AS firmware, 'pyasic-rs 0.8.6' AS driver,
    [5820, 5850 + 30 * (random() * 2)::INTEGER] AS fans_rpm, []::VARCHAR[] AS fault_codes,
    '[{{"host":"pool.example.com","account":"act-0000000000000000","alive":true,"active":true}}]' AS pools,
    true AS has_boards
    FROM (SELECT range AS minute FROM range($minutes)), (SELECT range AS number FROM range($machines))"""
_BOARDS: Final = f"""INSERT INTO boards BY NAME SELECT $n AS written, {_AT}, index,
    49500 + 10 * (random() * 100)::INTEGER AS hashrate_ths, 50000 AS expected_ths,
    6000 + 100 * (random() * 3)::INTEGER AS board_temp_c, 7600 + 100 * (random() * 4)::INTEGER AS chip_temp_c,
    117 AS chips_working, 117 AS chips_expected, 60100 AS frequency_mhz,
    12300 + 10 * (random() * 2)::INTEGER AS voltage_v
    FROM (SELECT range AS minute FROM range($minutes)), (SELECT range AS number FROM range($machines)),
    (SELECT range AS index FROM range(3))"""


async def _questions(store: EmbeddedStore) -> dict[str, float]:
    """Medians, while polls come in at `POLLS_S`."""
    latest = [batch(_polls(min(MACHINES, 500), NOW - timedelta(minutes=1)))]
    await store.write(A, latest[0], now=NOW)
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
        await store.write(A, batch(_polls(500, NOW + timedelta(seconds=number))), now=NOW)
        await asyncio.sleep(max(0.0, 500 / POLLS_S - (time.perf_counter() - started_s)))


async def _sizes(store: EmbeddedStore) -> dict[str, float]:
    with store.file(A) as file, file.reading() as cursor:
        sizes = dict(cursor.execute("SELECT kind, sum(bytes)::BIGINT FROM parts GROUP BY kind").fetchall())
    raw = sizes["readings"] + sizes["boards"]
    return {
        "sealed_bytes_per_poll": raw / (MACHINES * 1440 * DAYS),
        "rollup_share": (sizes["rollup_5m"] + sizes["rollup_1h"]) / raw,
        "rollup_1h_share": sizes["rollup_1h"] / raw,
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
