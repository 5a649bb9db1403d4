"""SQLite's thread, asked once a statement.

aiosqlite makes, runs, reads and closes a cursor in four trips to a connection's thread, each of which costs as much as
the statement itself. Here a statement and all its rows are one trip; rows are few and wanted whole. A transaction
begins with its first statement, in the same trip.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

import aiosqlite


class Cursor:
    """What SQLAlchemy asks of an asynchronous cursor."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Cursor:
        return self

    async def execute(self, statement: str, values: Any = ()) -> None:
        """Run a statement and read what it answers."""
        await self._connection.in_thread(self._run, sqlite3.Cursor.execute, statement, values)

    async def executemany(self, statement: str, values: Any) -> None:
        """Run a statement once for each set of values."""
        await self._connection.in_thread(self._run, sqlite3.Cursor.executemany, statement, values)

    async def fetchall(self) -> Sequence[Any]:
        """What the last statement answered; once."""
        rows, self._rows = self._rows, ()
        return rows

    async def close(self) -> None:
        """Nothing is open between two statements."""

    def _run(self, connection: sqlite3.Connection, run: Any, statement: str, values: Any) -> None:
        self._connection.begin_now(connection)
        with closing(connection.cursor()) as cursor:
            run(cursor, statement, values)
            self._rows = cursor.fetchall() if cursor.description else ()
            self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid


class Connection(aiosqlite.Connection):
    """A connection whose cursors are `Cursor`s."""

    _begin: str | None = None  # what the next statement has to go after

    def begin(self, statement: str) -> None:
        """Begin a transaction with the next statement."""
        self._begin = statement

    def begin_now(self, connection: sqlite3.Connection) -> None:
        """Begin what has to; in the thread."""
        if self._begin is not None:
            connection.execute(self._begin)
            self._begin = None

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Made without asking the thread."""
        return Cursor(self)

    async def in_thread(self, work: Any, *arguments: Any) -> Any:
        """Work on SQLite's own connection, in its thread."""
        return await self._execute(work, self._conn, *arguments)  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        """Of a transaction without any statement there is nothing to commit."""
        self._begin = None
        if self._conn.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """The pool asks for it whenever a connection comes back: mostly there is nothing to roll back."""
        self._begin = None
        if self._conn.in_transaction:
            await super().rollback()


async def connect(*arguments: Any, **settings: Any) -> Connection:
    """As `sqlite3.connect`; its thread ends with the process at the latest."""
    connection = Connection(partial(sqlite3.connect, *arguments, **settings), iter_chunk_size=64)
    connection._thread.daemon = True
    await connection
    return connection
