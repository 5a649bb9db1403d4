"""A registry with an account, its contact and its site."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.registry.database import Database
from tests import registry_file
from tests.backend.farm import Farm, farm


@pytest.fixture
async def north(tmp_path: Path) -> AsyncIterator[Farm]:
    """A site and its contact, reached by e-mail and phone. Power does not fail in these tests; processes do."""
    registry_file.put(tmp_path)
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", is_disposable=True)
    yield await farm(tmp_path, database)
    await database.close()
