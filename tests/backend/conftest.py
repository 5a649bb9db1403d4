"""A real registry for each test: migrated once a test process, then copied."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from backend.registry.database import Database, alembic_config


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables and nothing in them, to be copied."""
    file = tmp_path_factory.mktemp("registry") / "empty.db"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
    engine.dispose()
    return file


@pytest.fixture
async def database(tmp_path: Path, empty_registry: Path) -> AsyncIterator[Database]:
    """An empty registry in `tmp_path / "registry.db"`."""
    shutil.copyfile(empty_registry, tmp_path / "registry.db")
    made = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    await made.close()
