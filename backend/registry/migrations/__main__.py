"""Write the revision that takes the tables of the newest one to those of `tables.py`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from backend.registry.database import Database, alembic_config


def _revise(connection: Connection, message: str) -> None:
    config = alembic_config(connection)
    config.attributes["batch"] = any((Path(__file__).parent / "versions").glob("*.py"))  # the first alters nothing
    command.upgrade(config, "head")
    number = 1 + max((int(file.name[:4]) for file in (Path(__file__).parent / "versions").glob("*.py")), default=0)
    command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")


async def _main(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/registry.db")
        await database.alter(lambda connection: _revise(connection, message))
        await database.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
