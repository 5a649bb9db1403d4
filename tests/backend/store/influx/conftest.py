"""A server for these tests: the v2 front over a real 1.6 engine; they look at and meddle with what it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr

from backend.store.influx.client import Client
from backend.store.influx.engine import InfluxStore
from backend.store.influx.settings import InfluxSettings
from tests.backend.readings import NOW
from tests.fakes import influx, influx_v2

Stores = Callable[[], InfluxStore]


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture(scope="session", autouse=True)
def _stop_influx() -> Iterator[None]:
    yield
    influx.stop()


@pytest.fixture
def front() -> influx_v2.InfluxV2:
    """The server, empty."""
    server = influx.front()
    server.wipe()
    return server


@pytest.fixture
def settings(front: influx_v2.InfluxV2) -> InfluxSettings:
    """How to reach it."""
    return InfluxSettings(url=front.url, org=influx_v2.ORG, token=SecretStr(influx_v2.TOKEN))


@pytest.fixture
def clock() -> Clock:
    """`NOW`, until the test says otherwise."""
    return Clock(NOW)


@pytest.fixture
async def stores(settings: InfluxSettings, clock: Clock) -> AsyncIterator[Stores]:
    """Makes stores on the server, each as if in a process of its own."""
    made: list[InfluxStore] = []

    def make() -> InfluxStore:
        made.append(InfluxStore(settings, clock))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def store(stores: Stores) -> InfluxStore:
    """One store."""
    return stores()


@pytest.fixture
async def client(settings: InfluxSettings, store: InfluxStore, front: influx_v2.InfluxV2) -> AsyncIterator[Client]:
    """The HTTP alone; the buckets are there."""
    await store.check()
    front.asked.clear()
    made = Client(settings)
    yield made
    await made.close()
