"""The running service for each test: `service` from `tests.promises.deployed`, `here` from `tests.promises.service`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from tests.promises import service as accounts_service
from tests.promises.deployed import Service, running

Logged = list[MutableMapping[str, Any]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """The events that the service logs from now on, whatever its loggers keep of the tests before this one."""
    lazy = type(structlog.get_logger())
    for module in [each for name, each in sys.modules.items() if name.startswith("backend.")]:
        for log in vars(module).values():
            if isinstance(log, lazy):
                vars(log).pop("bind", None)  # kept by `cache_logger_on_first_use`
    structlog.reset_defaults()
    with capture_logs() as events:
        yield events


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
