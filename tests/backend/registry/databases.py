"""The registry on each kind of database that it knows: SQLite always, PostgreSQL where one can be had."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine

from backend.registry.database import Database, alembic_config
from backend.registry.sealing import Keys, KeySource
from tests import registry_file
from tests.fakes import postgres

KINDS = ("sqlite", "postgresql")
KEYS = Keys.fresh()

_running = ExitStack()
_server: str | None = None


def new(kind: str, folder: Path) -> Database:
    """An empty database of this kind; skips where there is no such server."""
    return Database(url(kind, folder), keys=KeySource(lambda: KEYS), accounts_dir=folder / "account-keys")


def migrated(kind: str, folder: Path) -> Database:
    """As `new`, with all tables: they are copied."""
    if kind == "sqlite":
        registry_file.put(folder)
        return new(kind, folder)
    return Database(_create(_migrated()), keys=KeySource(lambda: KEYS), accounts_dir=folder / "account-keys")


def url(kind: str, folder: Path) -> str:
    """Of an empty database of this kind; skips where there is no such server."""
    return f"sqlite:///{folder / 'registry.db'}" if kind == "sqlite" else _create()


def _create(template: str = "template1") -> str:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return server().rpartition("/")[0] + f"/{name}"


@cache
def _migrated() -> str:
    made = _create()
    engine = create_engine(made.replace("postgresql", "postgresql+psycopg", 1))
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
    engine.dispose()
    return made.rpartition("/")[2]


def server() -> str:
    """The server's URL; it is started once a test process."""
    global _server
    if _server is None:
        try:
            # Not pytest's folder, which root keeps to itself.
            folder = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="pg-")))
            _server = _running.enter_context(postgres.running(folder))
        except LookupError as error:
            pytest.skip(str(error))
    return _server


atexit.register(_running.close)
