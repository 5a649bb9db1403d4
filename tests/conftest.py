"""Fixtures that every folder of tests may use: the shared recordings and simulated machines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.simulator.capture import capture_machine
from agent.simulator.farm import Farm
from tests import loopback

Simulated = Callable[..., Awaitable[Farm]]


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of recordings; skips where they are not beside the project."""
    folder = (Path(__file__).parents[1] / "../shared/captures").resolve()
    if not folder.is_dir():
        pytest.skip("the recordings (../shared/captures) are not here")
    return folder


@pytest.fixture
async def simulated() -> AsyncIterator[Simulated]:
    """`farm = await simulated(folder, folder, …)`: one listening machine for each recording, stopped after the test."""
    async with AsyncExitStack() as farms:

        async def start(*folders: Path) -> Farm:
            addresses = loopback.take(len(folders))
            machines = [
                capture_machine(folder, address, seed)
                for seed, (folder, address) in enumerate(zip(folders, addresses, strict=True))
            ]
            farm = await farms.enter_async_context(Farm(machines).listening())
            if farm.left_out:
                pytest.skip(f"cannot simulate every machine here: {farm.left_out}")
            return farm

        yield start
