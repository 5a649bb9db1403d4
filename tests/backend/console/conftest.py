"""A listening backend for the page's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backend.console.served import Served, serving


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Served]:
    """Empty, listening on the loopback, at `farms.NOW`."""
    async with serving(tmp_path) as served:
        yield served
