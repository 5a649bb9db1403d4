"""Fixtures that every folder of tests may use: the shared recordings and simulated machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings

from agent.simulator.capture import capture_machine
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.machine import wall_clock
from tests import loopback

SLOW = [HealthCheck.too_slow]

# Programs are started by the hundred: what they are made of is compiled once, whatever the environment says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each run tries the same examples, and a busy machine is no failure; `make fuzz` looks for new ones.
settings.register_profile("itsminer", deadline=None, derandomize=True, max_examples=40, suppress_health_check=SLOW)
settings.register_profile("fuzz", deadline=None, max_examples=2_000, print_blob=True, suppress_health_check=SLOW)
settings.load_profile("itsminer")

Simulated = Callable[..., Awaitable[Farm]]
FarmProcess = Callable[..., tuple[subprocess.Popen[str], list[dict[str, Any]]]]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first: they mostly wait, and what is quick fills the time beside them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Each test finds the environment as it was: drivers write their fence into it."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _stores_open_fast() -> Iterator[None]:
    """DuckDB checks its extension's signature for each store, which is all that opening one costs: 80 ms of a core."""
    from backend.store.instance import SETTINGS

    with patch.dict(SETTINGS, {"allow_unsigned_extensions": True}):
        yield


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of recordings; skips where they are not beside the project."""
    folder = (Path(__file__).parents[1] / "../shared/captures").resolve()
    if not folder.is_dir():
        pytest.skip("the recordings (../shared/captures) are not here")
    return folder


@pytest.fixture
async def simulated() -> AsyncIterator[Simulated]:
    """Start a farm in this process; it is stopped after the test.

    `farm = await simulated("whatsminer", captures / "bitaxe_supra_2.0", seed=3)`: one listening machine for
    each family's name or recording's folder, in `farm.machines` in that order, with seeds from `seed` on.
    `clock` is the clock of the machines and of the farm, `started` goes to `family_machine`.
    """
    async with AsyncExitStack() as farms:

        async def start(
            *kinds: str | Path,
            seed: int = 0,
            clock: Callable[[], datetime] = wall_clock,
            started: datetime | None = None,
            shares_ports: bool | None = None,
        ) -> Farm:
            machines = [
                capture_machine(kind, address, number, clock=clock)
                if isinstance(kind, Path)
                else family_machine(kind, address, number, clock=clock, started=started)
                for number, (kind, address) in enumerate(zip(kinds, loopback.take(len(kinds)), strict=True), seed)
            ]
            farm = await farms.enter_async_context(Farm(machines, clock=clock, shares_ports=shares_ports).listening())
            if farm.left_out:
                pytest.skip(f"cannot simulate every machine here: {farm.left_out}")
            return farm

        yield start


@pytest.fixture
def farm_process() -> Iterator[FarmProcess]:
    """Start `itsminer-agent simulate --json …` as a program of its own; it is ended after the test.

    `process, lines = farm_process("--mix", "avalon:2", machines=2)`: returns when that many lines came.
    """
    programs: list[subprocess.Popen[str]] = []

    def start(*arguments: str, machines: int) -> tuple[subprocess.Popen[str], list[dict[str, Any]]]:
        base = loopback.take(machines)[0]
        command = [sys.executable, "-m", "agent", "simulate", "--json", "--base", base, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        programs.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(machines)]
        assert all(lines), f"it ended early: {process.communicate(timeout=10)}"
        return process, [json.loads(line) for line in lines]

    yield start
    for process in programs:
        process.kill()
        process.communicate(timeout=10)
