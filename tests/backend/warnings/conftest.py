"""A registry with an account, its contact and its site."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.registry.database import Database
from tests.backend.farm import Farm, farm


@pytest.fixture
async def north(tmp_path: Path, database: Database) -> Farm:
    """A site and its contact, reached by e-mail and phone."""
    return await farm(tmp_path, database)
