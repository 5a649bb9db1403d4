"""The registry on each kind of database that it knows: SQLite always, PostgreSQL where one can be had."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from backend.registry.database import Database
from backend.registry.sealing import Keys, KeySource
from tests.fakes import postgres

KINDS = ("sqlite", "postgresql")
KEYS = Keys.fresh()

_running = ExitStack()
_server: str | None = None


def new(kind: str, folder: Path) -> Database:
    """An empty database of this kind; skips where there is no such server."""
    return Database(url(kind, folder), keys=KeySource(lambda: KEYS))


def url(kind: str, folder: Path) -> str:
    """Of an empty database of this kind; skips where there is no such server."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'registry.db'}"
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server().rpartition("/")[0] + f"/{name}"


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
