"""CPU of one poll: plain pyasic, our two drivers, a bare client with the same requests; and our own code's part.

The farm answers from processes of its own. Each contender has a process of its own too, one after the other, so that
they do not share a core with each other; CPU is that of the whole process, with the libraries' threads.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.table import Table

from agent.simulator.roster import DEFAULT_MIX, capture_machines, family_machines
from tests.bench import bare, own
from tests.bench.contenders import Race, Result
from tests.bench.simulated import CAPTURES, simulated

_MACHINES: Final = int(os.environ.get("BENCH_MACHINES", "200"))
_ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
_CONCURRENCY: Final = 50
_KEYS: Final = {
    "plain pyasic": "plain_pyasic",
    "pyasic driver": "pyasic",
    "asic-rs driver": "asic_rs",
    "bare client": "bare",
}
_ENGINES: Final = {"pyasic driver": "pyasic", "asic-rs driver": "asic-rs"}


def main() -> dict[str, float]:
    """Print the table; the figures by name."""
    with _farm() as families:
        race = Race(families=families, exchanges=_exchanges(), rounds=_ROUNDS, concurrency=_CONCURRENCY)
        results = {name: _run(name, race) for name in _KEYS}
        polls = asyncio.run(own.polls(list(families)))
    steps = own.cpu_ms(polls, rounds=_ROUNDS * 4)
    _show(results, steps, len(families))
    figures = {}
    for name, result in results.items():
        figures[f"{_KEYS[name]}_cpu_ms"] = round(_cpu_ms(result), 3)
        figures[f"{_KEYS[name]}_machines_per_s"] = round(result.polls / result.took_s, 1)
    return figures | {"own_cpu_ms": round(sum(steps.values()), 3)}


@contextmanager
def _farm() -> Iterator[dict[str, str]]:
    """Half of it lives by itself, half replays recordings of real firmware, where there are any."""
    has_captures = CAPTURES.is_dir()
    living = _MACHINES // 2 if has_captures else _MACHINES
    with simulated("--machines", str(living), "--base", "127.92.0.1") as farm:
        if not has_captures:
            yield farm.families
            return
        options = ("--base", "127.92.16.1", "--captures", str(CAPTURES), "--seed", "2")  # names of its own
        with simulated("--machines", str(_MACHINES - living), *options) as recordings:
            yield farm.families | recordings.families


def _exchanges() -> dict[str, list[bare.Exchange]]:
    machines = family_machines(dict.fromkeys(DEFAULT_MIX, 1), base="127.92.32.1", seed=2)
    if CAPTURES.is_dir():
        machines += capture_machines(CAPTURES, None, base="127.92.33.1", seed=2)
    return asyncio.run(bare.record(machines))


def _run(name: str, race: Race) -> Result:
    command = (sys.executable, "-m", "tests.bench.contenders", _ENGINES.get(name, name))
    done = subprocess.run(command, input=race.model_dump_json(), stdout=subprocess.PIPE, text=True, check=True)
    return Result.model_validate_json(done.stdout)


def _cpu_ms(result: Result) -> float:
    return 1_000 * result.cpu_s / result.polls


def _show(results: dict[str, Result], steps: dict[str, float], machines: int) -> None:
    plain_ms = _cpu_ms(results["plain pyasic"])
    table = Table(title=f"One poll: {machines} machines, {_ROUNDS} rounds, {_CONCURRENCY} at a time")
    for heading in ("", "CPU ms", "of plain", "times as fast", "machines/s", "readings"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, result in results.items():
        cpu_ms = _cpu_ms(result)
        table.add_row(
            name,
            f"{cpu_ms:.2f}",
            f"{cpu_ms / plain_ms:.0%}",
            f"{plain_ms / cpu_ms:.1f}",
            f"{result.polls / result.took_s:.0f}",
            f"{result.readings} of {result.polls}",
        )
    table.add_section()
    for step, cpu_ms in (*steps.items(), ("our own code together", sum(steps.values()))):
        table.add_row(step, f"{cpu_ms:.3f}")
    Console(width=100).print(table)
