"""What machines that answer 100 MB cost: one farm of all kinds, first well, then with a few that flood, well again, and
then with many. The agent's memory, and whether the others are read as before.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from dataclasses import dataclass
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.farm import found, p99
from tests.bench.site import Site, site

_MACHINES: Final = int(os.environ.get("BENCH_MACHINES", "60"))
_INTERVAL_S: Final = float(os.environ.get("BENCH_INTERVAL_S", "4"))
_ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "10"))
_FLOODING: Final = {"few": 4, "many": 16}
_SETTLED_S: Final = 30.0
_PHASE_S: Final = (_ROUNDS + 2) * _INTERVAL_S
_FAULT: Final = """
[[fault]]
fault = "huge_answer"
machines = "{percent}%"
at = "{at_s:.0f}s"
for = "{for_s:.0f}s"
"""


@dataclass(frozen=True)
class Phase:
    """What was seen while so many machines flooded."""

    flooding: int
    rss_mb: float  # at the most
    rounds: int
    missing: int  # readings of the others that there should be
    times: list[float]  # of their reads, ms


def main() -> dict[str, float]:
    """Print the table; the figures by name."""
    figures: dict[str, float] = uvloop.run(_measure())
    return figures


async def _measure() -> dict[str, float]:
    few_s, many_s = _SETTLED_S + _PHASE_S, _SETTLED_S + 3 * _PHASE_S
    faults = "".join(
        _FAULT.format(percent=100 * count // _MACHINES + 1, at_s=at_s, for_s=_PHASE_S)
        for count, at_s in zip(_FLOODING.values(), (few_s, many_s), strict=True)
    )
    async with site(_MACHINES, _INTERVAL_S, base="127.93.0.1", faults=faults) as running:
        began_s = asyncio.get_running_loop().time()
        _, machines = await found(running)
        waited_s = asyncio.get_running_loop().time() - began_s
        few, many = _FLOODING.values()
        phases = {"well": await _seen(running, max(_PHASE_S, few_s - waited_s), 0, machines)}
        phases["few"] = await _seen(running, _PHASE_S, few, machines - few)
        phases["well_again"] = await _seen(running, _PHASE_S, 0, machines - few)  # those that flooded still rest
        phases["many"] = await _seen(running, _PHASE_S, many, machines - many)
    return _shown(phases)


async def _seen(running: Site, for_s: float, flooding: int, others: int) -> Phase:
    """Watch so long. The first and the last round may belong to what was before and comes after."""
    before, first = set(running.sink.rounds), len(running.samples)
    ends_s = asyncio.get_running_loop().time() + for_s
    await running.watch(lambda: asyncio.get_running_loop().time() > ends_s, every_s=0.02)
    rounds = [running.sink.rounds[time] for time in sorted(set(running.sink.rounds) - before)[1:-1]]
    answered = [[read_ms for read_ms in read.values() if read_ms is not None] for read in rounds]
    return Phase(
        flooding=flooding,
        rss_mb=max(sample.rss_mb for sample in running.samples[first:]),
        rounds=len(rounds),
        missing=sum(max(0, others - len(times)) for times in answered),
        times=[read_ms for times in answered for read_ms in times],
    )


def _shown(phases: dict[str, Phase]) -> dict[str, float]:
    table = Table(title=f"{_MACHINES} machines every {_INTERVAL_S:g} s, some of which answer 100 MB")
    for heading in ("", "flooding", "memory, MB", "rounds", "others' readings missing", "median, ms", "p99, ms"):
        table.add_column(heading, justify="left" if not heading else "right")
    figures: dict[str, float] = {}
    for name, seen in phases.items():
        median_ms, p99_ms = statistics.median(seen.times), p99(seen.times)
        table.add_row(
            name.replace("_", " "),
            *(f"{number}" for number in (seen.flooding, round(seen.rss_mb), seen.rounds, seen.missing)),
            f"{median_ms:.1f}",
            f"{p99_ms:.1f}",
        )
        figures |= {f"{name}_rss_mb": round(seen.rss_mb, 1), f"{name}_missing": seen.missing}
        figures |= {f"{name}_p99_ms": round(p99_ms, 1)}
    Console(width=110).print(table)
    return figures
