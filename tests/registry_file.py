"""An empty registry as a file: migrated once a process, from its first revision on, then only written down.

A service or command that finds one has nothing to migrate, which is half of what its start costs.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from sqlalchemy import StaticPool, create_engine

from backend.registry.database import alembic_config


def put(folder: Path) -> None:
    """`registry.db` in the folder, which is made, with all tables and nothing in them; one that is there stays."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "registry.db"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        content: bytes = driver.serialize()
    engine.dispose()
    return content
