"""Each engine in a folder of its own; what the suites start and has to be stopped when the last test is done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backend.store.protocol import Store
from tests.backend.readings import NOW
from tests.contract.engines import DAY, ENGINES, Engine, Settle, Time
from tests.fakes import influx


@pytest.fixture(scope="session", autouse=True)
def _stop_influx() -> Iterator[None]:
    yield
    influx.stop()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
async def store(engine: Engine, tmp_path: Path, time: Time) -> AsyncIterator[Store]:
    made = engine(tmp_path, time)
    yield made
    await made.close()


@pytest.fixture(params=["as it came", "tended"])
def settle(request: pytest.FixtureRequest, store: Store) -> Settle:
    """Everything has to hold before rollups are made and days are sealed, and after."""

    async def done() -> None:
        if request.param == "tended":
            await store.tend(now=NOW + 3 * DAY)

    return done
