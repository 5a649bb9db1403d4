"""A real registry for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.registry.database import Database
from tests import registry_file


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty registry in `tmp_path / "registry.db"`."""
    registry_file.put(tmp_path)
    made = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    await made.close()
