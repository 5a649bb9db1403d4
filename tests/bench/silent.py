"""Whether machines that accept and never answer slow the others down: one farm, first well, then with 5 % silent."""

from __future__ import annotations

import asyncio
import os
import statistics
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.farm import found, p99
from tests.bench.site import site

_MACHINES: Final = int(os.environ.get("BENCH_MACHINES", "1000"))
_INTERVAL_S: Final = float(os.environ.get("BENCH_INTERVAL_S", "15"))
_ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "8"))
_SILENT: Final = 0.05
_SETTLED_S: Final = 60.0
_FAULTS: Final = """
[[fault]]
fault = "never_answers"
machines = "{percent:.0f}%"
at = "{at_s:.0f}s"
"""


def main() -> dict[str, float]:
    """Print the table; the figures by name."""
    figures: dict[str, float] = uvloop.run(_measure())
    return figures


async def _measure() -> dict[str, float]:
    well_s = _SETTLED_S + _ROUNDS * _INTERVAL_S
    faults = _FAULTS.format(percent=100 * _SILENT, at_s=well_s)
    async with site(_MACHINES, _INTERVAL_S, base="127.95.0.1", faults=faults) as running:
        began_s = asyncio.get_running_loop().time()
        _, machines = await found(running)
        before = set(running.sink.rounds)
        waited_s = asyncio.get_running_loop().time() - began_s
        await asyncio.sleep(max(0.0, well_s - waited_s) + (_ROUNDS + 2) * _INTERVAL_S)
        rounds = [read for time, read in running.sink.rounds.items() if time not in before]
    silent = round(_SILENT * _MACHINES)
    well, ill = [], []
    for read in rounds:
        times = [read_ms for read_ms in read.values() if read_ms is not None]
        if len(times) == machines:
            well += times
        elif len(read) == machines == len(times) + silent:  # whole, and all the silent ones are
            ill += times
    return _shown(well, ill)


def _shown(well: list[float], ill: list[float]) -> dict[str, float]:
    table = Table(title=f"Reads of {_MACHINES} machines every {_INTERVAL_S:g} s, ms")
    for heading in ("", "reads", "median", "p99"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, times in (("all machines answer", well), (f"{_SILENT:.0%} are silent: the others", ill)):
        table.add_row(name, f"{len(times)}", f"{statistics.median(times):.1f}", f"{p99(times):.1f}")
    Console(width=100).print(table)
    return {
        "well_p99_ms": round(p99(well), 1),
        "silent_p99_ms": round(p99(ill), 1),
        "p99_ratio": round(p99(ill) / p99(well), 3),
        "median_ratio": round(statistics.median(ill) / statistics.median(well), 3),
    }
