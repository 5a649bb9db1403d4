"""A farm of simulated miners in its own process, for benchmarks."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CAPTURES = Path(__file__).parents[2] / "../shared/captures"


@dataclass(frozen=True)
class SimulatedFarm:
    """What listens: address → family; and the process that answers."""

    families: dict[str, str]
    pid: int


@contextlib.contextmanager
def simulated(*options: str) -> Iterator[SimulatedFarm]:
    """`itsminer-agent simulate` with these options, until the block ends. What it has to say goes to stderr."""
    command = (sys.executable, "-m", "agent", "simulate", "--json", *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            expected = int(options[options.index("--machines") + 1])
            lines = [process.stdout.readline() for _ in range(expected)]
            machines = [json.loads(line) for line in lines if line]
            yield SimulatedFarm({machine["address"]: machine["family"] for machine in machines}, process.pid)
        finally:
            process.terminate()
