"""The running service for each test: `service` from `tests.promises.deployed`, `here` from `tests.promises.service`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.promises import service as accounts_service
from tests.promises.deployed import Service, running


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that listens, with mail and SMS, and nobody in it yet."""
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[accounts_service.Service]:
    """A service that people can register with."""
    async with accounts_service.service(tmp_path) as made:
        yield made
