"""A farm of SOAK_MACHINES (10,000), each asked every SOAK_INTERVAL_S (60), for SOAK_MINUTES (30): its figures.

The plot of memory, descriptors and CPU goes to docs/soak.svg.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import uvloop

from tests.bench.farm import found, summary, watched
from tests.bench.site import Sample, site
from tests.soak.plot import Curve, drawn

_MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "30"))
_MACHINES: Final = int(os.environ.get("SOAK_MACHINES", "10000"))
_INTERVAL_S: Final = float(os.environ.get("SOAK_INTERVAL_S", "60"))
_PLOT: Final = Path(__file__).parents[2] / "docs" / "soak.svg"


def main() -> int:
    """0 when every round was complete."""
    figures, samples = uvloop.run(_soak())
    title = f"{_MACHINES:,} machines every {_INTERVAL_S:g} s: the agent after it found them all"
    curves = (
        Curve("Memory (RSS), MB", [(sample.at_s / 60, sample.rss_mb) for sample in samples]),
        Curve("Open descriptors", [(sample.at_s / 60, sample.descriptors) for sample in samples]),
        Curve("CPU, % of one core, mean of a minute", _cpu_percent_by_minute(samples)),
    )
    _PLOT.write_text(drawn(title, curves))
    print(json.dumps(figures, indent=1))
    return 0 if figures["missing_readings"] == 0 else 1


async def _soak() -> tuple[dict[str, float], list[Sample]]:
    async with site(_MACHINES, _INTERVAL_S, base="127.96.0.1") as running:
        found_after_s, machines = await found(running)
        rounds = await watched(running, round(_MINUTES * 60 / _INTERVAL_S), _INTERVAL_S)
        figures = {"machines": _MACHINES, "found": machines, "found_after_s": round(found_after_s)}
        return figures | summary(running, rounds, machines, _INTERVAL_S), running.samples


def _cpu_percent_by_minute(samples: list[Sample]) -> list[tuple[float, float]]:
    points = []
    first = samples[0]
    for sample in samples:
        if sample.at_s - first.at_s >= 60:
            percent = 100 * (sample.cpu_s - first.cpu_s) / (sample.at_s - first.at_s)
            points.append((sample.at_s / 60, percent))
            first = sample
    return points


if __name__ == "__main__":
    sys.exit(main())
