"""`make bench BENCH=compared`: our engine beside VictoriaMetrics and InfluxDB (Debian's), same numbers, same questions.

One day of `ITSMINER_BENCH_MACHINES` (20) machines with three boards each, in batches of about 500 polls, one after the
other. The servers get the same numbers as line protocol, scaled to whole ones, on their own cores; rendering it and
decoding JSON is not counted, making our columns is. A server that is not installed is left out, and said so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from agent.wire import Batch
from backend.ids import AccountId
from backend.store.embedded import EmbeddedStore
from backend.store.metrics import BOARD_DECIMALS, METRICS
from backend.store.protocol import SeriesQuery
from tests.backend.readings import batch, machine
from tests.bench.polls import polls
from tests.fakes import influxd

MACHINES: Final = int(os.environ.get("ITSMINER_BENCH_MACHINES", "20"))
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = START + timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
A: Final = AccountId("acc_bench")
TIMES: Final = 9
"""Each question is asked; the median counts."""
SETTLE_S: Final = 20.0
"""The servers get to pack what they have before its size is taken."""
VICTORIA: Final = "victoria-metrics"

Figures = dict[str, float]
Bodies = Sequence[bytes]


def main() -> Figures:
    """Print the table; the figures by engine and name."""
    rounds = [polls(MACHINES, START + MINUTE * number) for number in range(1440)]
    each = max(1, 500 // MACHINES)
    batches = [batch(chain.from_iterable(rounds[at : at + each])) for at in range(0, 1440, each)]
    bodies = [_lines(one) for one in batches]
    found: dict[str, Figures] = {}
    for name, measure in _ENGINES.items():
        with tempfile.TemporaryDirectory(prefix="bench-compared-") as folder:
            try:
                found[name] = measure(Path(folder), batches, bodies)
            except FileNotFoundError as error:
                Console().print(f"{name}: left out ({error})")
    table = Table("figure", *found, box=None)
    for figure in found["ours"]:
        table.add_row(figure, *(f"{figures[figure]:,.1f}" for figures in found.values()))
    Console().print(table)
    return {f"{name}_{figure}": value for name, figures in found.items() for figure, value in figures.items()}


def _ours(folder: Path, batches: Sequence[Batch], _: Bodies) -> Figures:
    return asyncio.run(_embedded(folder, batches))


async def _embedded(folder: Path, batches: Sequence[Batch]) -> Figures:
    store = EmbeddedStore(folder, clock=lambda: END)
    try:
        began_s = time.perf_counter()
        for one in batches:
            await store.write(A, one, now=END)
        took_s = time.perf_counter() - began_s
        await store.tend(now=END + 3 * HOUR)
        sealed = _size(folder / A / "sealed")
        of_chips = SeriesQuery(metric="chip_temp_c", start=START, end=END, step=HOUR, aggregate="max", across="p95")
        of_one = SeriesQuery(
            metric="hashrate_ths", start=START, end=END, step=5 * MINUTE, machines=(machine(1),), max_points=10_000
        )
        questions: dict[str, Callable[[], Awaitable[Sequence[object]]]] = {
            "latest_ms": lambda: store.latest(A),
            "machine_24h_ms": lambda: store.series(A, of_one),
            "fleet_24h_ms": lambda: store.fleet(A, metrics=["hashrate_ths"], start=START, end=END, step=HOUR),
            "p95_24h_ms": lambda: store.series(A, of_chips),
        }
        asked = {}
        for name, ask in questions.items():
            times = []
            for _ in range(TIMES):
                began_s = time.perf_counter()
                assert await ask()
                times.append((time.perf_counter() - began_s) * 1_000)
            asked[name] = median(times)
    finally:
        await store.close()
    return {"ingest_polls_s": _count() / took_s, "bytes_per_poll": sealed / _count(), **asked}


def _victoria(folder: Path, _: Sequence[Batch], bodies: Bodies) -> Figures:
    with _victoria_running(folder) as url:

        def ask(query: str, step: str, start: datetime = START) -> None:
            words = {"query": query, "start": start.timestamp(), "end": END.timestamp(), "step": step, "nocache": 1}
            answer = json.loads(_got(f"{url}/api/v1/query_range?{urllib.parse.urlencode(words)}"))
            assert answer["data"]["result"], query

        ingest = _written(f"{url}/write?precision=s", bodies)
        _got(f"{url}/internal/force_flush")
        _got(f"{url}/internal/force_merge")
        time.sleep(SETTLE_S)
        return {
            "ingest_polls_s": ingest,
            "bytes_per_poll": _size(folder / "data") / _count(),
            "latest_ms": _asked(lambda: ask("last_over_time({__name__=~'reading_.*'}[10m])", "1m", END - MINUTE)),
            "machine_24h_ms": _asked(
                lambda: ask(f"avg_over_time(reading_hashrate_ths{{machine='{machine(1)}'}}[5m])", "5m")
            ),
            "fleet_24h_ms": _asked(lambda: ask("sum(avg_over_time(reading_hashrate_ths[1h]))", "1h")),
            "p95_24h_ms": _asked(lambda: ask("quantile(0.95, max_over_time(reading_chip_temp_c[1h]))", "1h")),
        }


@contextmanager
def _victoria_running(folder: Path) -> Iterator[str]:
    program = shutil.which(VICTORIA)
    if program is None:
        raise FileNotFoundError(f"there is no {VICTORIA} here")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    words = [program, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={address}", "-retentionPeriod=100y"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            influxd.wait(f"http://{address}", process)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait()


def _influx(folder: Path, _: Sequence[Batch], bodies: Bodies) -> Figures:
    with influxd.running(folder) as url:

        def ask(query: str) -> None:
            words = urllib.parse.urlencode({"db": "bench", "q": query})
            assert "series" in json.loads(_got(f"{url}/query?{words}"))["results"][0], query

        _got(f"{url}/query", b"q=CREATE DATABASE bench")
        within = f"time >= '{START:%Y-%m-%dT%H:%M:%SZ}' AND time < '{END:%Y-%m-%dT%H:%M:%SZ}'"
        by_machine = f"WHERE {within} GROUP BY time(1h), machine"
        ingest = _written(f"{url}/write?db=bench&precision=s", bodies)
        figures = {
            "ingest_polls_s": ingest,
            "latest_ms": _asked(lambda: ask(f"SELECT last(*) FROM reading WHERE {within} GROUP BY machine")),
            "machine_24h_ms": _asked(
                lambda: ask(
                    f"SELECT mean(hashrate_ths) FROM reading WHERE {within} AND machine = '{machine(1)}'"
                    " GROUP BY time(5m)"
                )
            ),
            "fleet_24h_ms": _asked(
                lambda: ask(
                    f"SELECT sum(m) FROM (SELECT mean(hashrate_ths) AS m FROM reading {by_machine})"
                    f" WHERE {within} GROUP BY time(1h)"
                )
            ),
            "p95_24h_ms": _asked(
                lambda: ask(
                    f"SELECT percentile(m, 95) FROM (SELECT max(chip_temp_c) AS m FROM reading {by_machine})"
                    f" WHERE {within} GROUP BY time(1h)"
                )
            ),
        }
    with patch.dict(os.environ, _PACK_SOON), influxd.running(folder):
        time.sleep(SETTLE_S)
    return figures | {"bytes_per_poll": _size(folder / "data") / _count()}


_PACK_SOON: Final = {
    "INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "1s",
    "INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION": "2s",
}
"""Otherwise it would wait for ten minutes and four hours."""

_ENGINES: Final[dict[str, Callable[[Path, Sequence[Batch], Bodies], Figures]]] = {
    "ours": _ours,
    "victoriametrics": _victoria,
    "influxdb": _influx,
}


def _lines(one: Batch) -> bytes:
    """Line protocol of a batch: each metric and each board's numbers, scaled to whole ones."""
    lines = []
    for row in one.readings:
        at = int(row.time.timestamp())
        values = {name: metric.of(row) for name, metric in METRICS.items()}
        fields = (f"{n}={round(v * 10 ** METRICS[n].decimals)}i" for n, v in values.items() if v is not None)
        lines.append(f"reading,site={one.site},machine={row.machine} {','.join(fields)} {at}")
        for board in row.boards or ():
            of_board = {name: getattr(board, name) for name in BOARD_DECIMALS}
            fields = (f"{n}={round(v * 10 ** BOARD_DECIMALS[n])}i" for n, v in of_board.items() if v is not None)
            lines.append(f"board,site={one.site},machine={row.machine},board={board.index} {','.join(fields)} {at}")
    return "\n".join(lines).encode()


def _written(url: str, bodies: Bodies) -> float:
    began_s = time.perf_counter()
    for body in bodies:
        _got(url, body)
    return _count() / (time.perf_counter() - began_s)


def _asked(ask: Callable[[], None]) -> float:
    times = []
    for _ in range(TIMES):
        began_s = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began_s) * 1_000)
    return median(times)


def _got(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=60) as answer:
        content: bytes = answer.read()
    return content


def _size(folder: Path) -> int:
    """On the disk: InfluxDB's files of names have holes of megabytes."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _count() -> int:
    return MACHINES * 1440
