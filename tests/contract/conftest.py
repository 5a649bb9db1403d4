"""What the suites start and has to be stopped when the last test is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import influx


@pytest.fixture(scope="session", autouse=True)
def _stop_influx() -> Iterator[None]:
    yield
    influx.stop()
