"""Ten thousand machines from one agent: whether each round is complete, and what it takes.

BENCH_MACHINES, BENCH_INTERVAL_S and BENCH_ROUNDS make it smaller. The agent, the simulator and the backend's stand-in
share the cores of the computer, each a process.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import statistics
from collections.abc import Sequence
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.site import Sample, Site, site

_MACHINES: Final = int(os.environ.get("BENCH_MACHINES", "10000"))
_INTERVAL_S: Final = float(os.environ.get("BENCH_INTERVAL_S", "60"))
_ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
_FIND_ALL_S: Final = 900.0
_SCAN_DONE: Final = re.compile(r"event=scan\.done .*known=(\d+)")


def main() -> dict[str, float]:
    """Print the table; the figures by name."""
    figures: dict[str, float] = uvloop.run(_measure())
    return figures


async def _measure() -> dict[str, float]:
    async with site(_MACHINES, _INTERVAL_S, base="127.94.0.1") as running:
        found_after_s, machines = await found(running)
        rounds = await watched(running, _ROUNDS, _INTERVAL_S)
        figures = summary(running, rounds, machines, _INTERVAL_S)
        figures = {"machines": _MACHINES, "found": machines, "found_after_s": round(found_after_s)} | figures
    _show(figures)
    return figures


async def found(running: Site) -> tuple[float, int]:
    """Wait until the first look at all addresses is over and each machine was read once; how long that took, and how
    many were found: on a busy computer a few are not identified in time, and are found by the next look."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    machines: int | None = None
    while machines is None or max((len(read) for read in running.sink.rounds.values()), default=0) < machines:
        if loop.time() - began_s > _FIND_ALL_S or not running.agent.running:
            raise RuntimeError(f"the machines were not all found and read\n{running.agent.log_tail()}")
        await asyncio.sleep(0.5)
        if machines is None and (done := _SCAN_DONE.search(running.agent.log.read_text())):
            machines = int(done[1])
    return loop.time() - began_s, machines


async def watched(running: Site, rounds: int, interval_s: float) -> list[str]:
    """Watch the agent for so many whole rounds from now on, and one more for what is under way; their grid times."""
    before = set(running.sink.rounds)
    ends_s = asyncio.get_running_loop().time() + (rounds + 1.5) * interval_s
    await running.watch(lambda: asyncio.get_running_loop().time() > ends_s)
    return sorted(set(running.sink.rounds) - before)[:rounds]


def summary(running: Site, rounds: Sequence[str], machines: int, interval_s: float) -> dict[str, float]:
    """The figures of these rounds."""
    read = [running.sink.rounds[time] for time in rounds]
    times = [read_ms for of_round in read for read_ms in of_round.values() if read_ms is not None]
    samples = running.samples
    seconds = cpu_by_second(samples)
    took_s = samples[-1].at_s - samples[0].at_s
    cpu_s = samples[-1].cpu_s - samples[0].cpu_s
    polls = sum(map(len, read)) / len(rounds) * took_s / interval_s
    return {
        "rounds": len(rounds),
        "complete_rounds": sum(len(of_round) == machines for of_round in read),
        "missing_readings": machines * len(rounds) - sum(map(len, read)),
        "unanswered_readings": sum(read_ms is None for of_round in read for read_ms in of_round.values()),
        "cpu_percent_of_a_core": round(100 * cpu_s / took_s, 1),
        "cpu_ms_per_poll": round(1_000 * cpu_s / polls, 3),
        "busiest_second_percent": round(100 * max(seconds), 1),
        "cpu_spread_percent": round(100 * statistics.pstdev(seconds) / statistics.mean(seconds), 1),
        "read_ms_median": round(statistics.median(times), 1),
        "read_ms_p99": round(p99(times), 1),
        "rss_mb_most": round(max(sample.rss_mb for sample in samples), 1),
        "rss_mb_first_tenth": round(_mean(samples[: len(samples) // 10 + 1], "rss_mb"), 1),
        "rss_mb_last_tenth": round(_mean(samples[-(len(samples) // 10 + 1) :], "rss_mb"), 1),
        "descriptors_most": max(sample.descriptors for sample in samples),
        "descriptors_first_tenth": round(_mean(samples[: len(samples) // 10 + 1], "descriptors")),
        "descriptors_last_tenth": round(_mean(samples[-(len(samples) // 10 + 1) :], "descriptors")),
        "bytes_per_reading_sent": round(running.sink.sent_bytes / running.sink.readings, 1),
    }


def cpu_by_second(samples: Sequence[Sample]) -> list[float]:
    """Seconds of CPU used in each second."""
    pairs = itertools.pairwise(samples)
    return [(after.cpu_s - before.cpu_s) / (after.at_s - before.at_s) for before, after in pairs]


def p99(values: Sequence[float]) -> float:
    """Of 99 in a hundred values the highest."""
    highest: float = statistics.quantiles(values, n=100)[98]
    return highest


def _mean(samples: Sequence[Sample], name: str) -> float:
    values: list[float] = [getattr(sample, name) for sample in samples]
    return statistics.mean(values)


def _show(figures: dict[str, float]) -> None:
    table = Table(title=f"{_MACHINES} machines, each asked every {_INTERVAL_S:g} s", show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    Console(width=100).print(table)
