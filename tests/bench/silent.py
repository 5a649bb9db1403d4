"""Whether machines that do not answer slow the others down: one farm, first well, then with 5 % that accept and never
answer, then well again, then with 5 % to which every packet vanishes. An agent reads faster when it has settled, so
each is compared with the well rounds before it.

Black holes need the right to change the network, which root has within `unshare -n`; without it, they are left out.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.farm import found, p99
from tests.bench.hole import NotAllowed, black_hole
from tests.bench.site import Site, site

_MACHINES: Final = int(os.environ.get("BENCH_MACHINES", "1000"))
_INTERVAL_S: Final = float(os.environ.get("BENCH_INTERVAL_S", "15"))
_ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "8"))
_EVERY: Final = 20
_SETTLED_S: Final = 60.0
_PHASE_S: Final = (_ROUNDS + 2) * _INTERVAL_S
_FAULTS: Final = """
[[fault]]
fault = "never_answers"
machines = "{percent:.0f}%"
at = "{at_s:.0f}s"
for = "{for_s:.0f}s"
"""


def main() -> dict[str, float]:
    """Print the table; the figures by name."""
    figures: dict[str, float] = uvloop.run(_measure())
    return figures


async def _measure() -> dict[str, float]:
    well_s = _SETTLED_S + _PHASE_S
    faults = _FAULTS.format(percent=100 / _EVERY, at_s=well_s, for_s=_PHASE_S)
    async with site(_MACHINES, _INTERVAL_S, base="127.95.0.1", faults=faults) as running:
        began_s = asyncio.get_running_loop().time()
        _, machines = await found(running)
        waited_s = asyncio.get_running_loop().time() - began_s
        ill = machines // _EVERY
        times = {"all machines answer": await _others(running, max(0.0, well_s - waited_s), machines, 0)}
        times["5 % are silent: the others"] = await _others(running, _PHASE_S, machines, ill)
        times["all machines answer again"] = await _others(running, _PHASE_S, machines, 0)  # after an interval or two
        try:
            with black_hole(running.addresses[::_EVERY]):
                times["5 % are black holes: the others"] = await _others(running, _PHASE_S, machines, ill)
        except NotAllowed as error:
            Console(width=100).print(f"Black holes are left out: {error}.")
    return _shown(times)


async def _others(running: Site, for_s: float, machines: int, ill: int) -> list[float]:
    """How long the machines that answered took, ms, in whole rounds of this time in which so many did not."""
    before = set(running.sink.rounds)
    await asyncio.sleep(for_s)
    times: list[float] = []
    for time in running.sink.rounds.keys() - before:
        read = list(running.sink.rounds[time].values())
        answered = [read_ms for read_ms in read if read_ms is not None]
        if len(read) == machines == len(answered) + ill:
            times += answered
    return times


def _shown(times: dict[str, list[float]]) -> dict[str, float]:
    table = Table(title=f"Reads of {_MACHINES} machines every {_INTERVAL_S:g} s, ms")
    for heading in ("", "reads", "median", "p99", "p99 ratio"):
        table.add_column(heading, justify="left" if not heading else "right")
    well: list[float] = []
    figures: dict[str, float] = {}
    for name, some in zip(("well", "silent", "well_again", "hole"), times.items(), strict=False):
        words, read_ms = some
        well = read_ms if name.startswith("well") else well
        ratio = p99(read_ms) / p99(well)
        table.add_row(
            words, f"{len(read_ms)}", f"{statistics.median(read_ms):.1f}", f"{p99(read_ms):.1f}", f"{ratio:.2f}"
        )
        figures |= {f"{name}_p99_ms": round(p99(read_ms), 1), f"{name}_p99_ratio": round(ratio, 3)}
    Console(width=100).print(table)
    return figures
