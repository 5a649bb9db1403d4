"""The registry's database: transactions, and bringing its tables up to date.

SQLite by default, PostgreSQL to scale; nothing above this module knows which. Guarantees:

- `begin()` is one transaction: all of it or nothing, durable when the block has ended.
- Writers queue. On SQLite a transaction that reads first and writes later can fail for good when somebody
  else wrote in between (SQLITE_BUSY, whatever the timeout), so a writer takes the lock at its first
  statement (BEGIN IMMEDIATE) and one connection of this process writes at a time. Do not open a second
  `begin()` inside one: it waits for itself and fails after `WAIT_S`.
- `read()` sees one consistent state, never waits for a writer and cannot write.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from backend.registry import (  # noqa: F401 (their tables are the registry's)
    account_tables,
    login_tables,
    machine_tables,
    notify_tables,
    privacy_tables,
    rights_tables,
    rule_tables,
    site_tables,
    sqlite_thread,
    warning_tables,
)
from backend.registry.account_keys import AccountKeys
from backend.registry.sealed import give_keys
from backend.registry.sealing import Keys, KeySource

if TYPE_CHECKING:
    from alembic.config import Config

WAIT_S: Final = 30.0
"""How long a writer waits for its turn before it gives up."""

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
_READERS: Final = 4
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
NEWEST: Final = max((_MIGRATIONS / "versions").glob("[0-9]*.py")).name.partition("_")[0]
"""The revision that the tables of this version have: its modules are named for them, in order."""
_MIGRATING: Final = 0x175A11  # any number, the same in each backend: only one of them migrates at a time


class Database:
    """Where accounts, members, sites, tokens, warnings and the outbox are.

    `url` is `sqlite:////absolute/path` (made if need be) or `postgresql://user:password@host/name`. Raises
    `ValueError` for what is neither; the message does not repeat the URL, which holds a password. What is
    `is_disposable`, a rehearsal, does not wait for the disk.

    `keys` seal the contacts. Without them, those of a SQLite registry are in a file beside it, made when it is first
    needed: good against a stolen dump, no good against a stolen disk. PostgreSQL has none without them. `accounts_dir`
    is the folder of the accounts' own keys; without one, those of a SQLite registry are beside it.
    """

    def __init__(
        self, url: str, *, keys: KeySource | None = None, accounts_dir: Path | None = None, is_disposable: bool = False
    ) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise ValueError("this is no URL of a database") from error
        kind = parsed.get_backend_name()
        if kind not in _DRIVERS:
            raise ValueError(f"the registry is sqlite or postgresql, not {kind}")
        parsed = parsed.set(drivername=_DRIVERS[kind])
        self._url = parsed
        self._synchronous = "OFF" if is_disposable else "FULL"  # NORMAL may lose the last commits when power fails
        if kind == "sqlite":
            self._writer = _sqlite(parsed, connections=1, writes=True, synchronous=self._synchronous)
            self._reader = _sqlite(parsed, connections=_READERS, writes=False, synchronous=self._synchronous)
        else:
            self._writer = self._reader = create_async_engine(
                parsed, pool_pre_ping=True, pool_timeout=WAIT_S, hide_parameters=True
            )
        beside = _file_of(parsed)
        self._keys = keys or (KeySource.missing() if beside is None else KeySource.of_file(Path(f"{beside}.keys")))
        self.account_keys = AccountKeys(accounts_dir or (beside and beside.with_name("account-keys")), self._keys)
        for engine in (self._writer, self._reader):
            give_keys(engine.dialect, self._keys, self.account_keys)
        self._begin = async_sessionmaker(self._writer, expire_on_commit=False)
        self._read = async_sessionmaker(self._reader, expire_on_commit=False)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`, for the few statements that differ."""
        return self._writer.dialect.name

    @property
    def keys(self) -> Keys:
        """What seals the contacts. Raises `NoKey`."""
        return self._keys.keys

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A transaction that may write; committed when the block ends, rolled back when it raises."""
        async with self._begin.begin() as session:
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A consistent view; writing through it fails on SQLite."""
        async with self._read.begin() as session:
            yield session

    async def migrate(self) -> None:
        """Bring the tables to this version's; nothing happens when they are. All of it or nothing."""
        if await self._revision() == NEWEST:
            return
        from alembic import command  # a tenth of a second that few starts need

        await self.alter(lambda connection: command.upgrade(alembic_config(connection), "head"))

    async def _revision(self) -> str | None:
        try:
            async with self.read() as session:
                revision: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
                return revision
        except DatabaseError:
            return None  # never migrated; what else may be wrong, the migration says

    async def alter(self, change: Callable[[Connection], None]) -> None:
        """Run a change of the tables in one transaction, while no other backend does."""
        if self.dialect == "sqlite":
            await self._alter_sqlite(change)
            return
        async with self._writer.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
            await connection.run_sync(change)

    async def _alter_sqlite(self, change: Callable[[Connection], None]) -> None:
        """SQLite alters a table by making it anew, and dropping the old one would delete what refers to it: not while
        references are not enforced. They are checked before the end instead (sqlite.org/lang_altertable.html, 7).
        """
        engine = _sqlite(self._url, connections=1, writes=True, synchronous=self._synchronous, enforces=False)
        give_keys(engine.dialect, self._keys, self.account_keys)
        try:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT 1"))  # the lock is ours, before Alembic, which works for one only
                await connection.run_sync(change)
                if (await connection.execute(text("PRAGMA foreign_key_check"))).first() is not None:
                    raise RuntimeError("a change of the tables leaves rows that refer to nothing")
        finally:
            await engine.dispose()
        await asyncio.to_thread(_empty_log, self._url.database or "")

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[bool]:
        """Whether this backend, of all that share the database, may do the named work meanwhile.

        The lease ends with the block, or with the process that dies in it. SQLite has one backend, which always may.
        """
        if self.dialect == "sqlite":
            yield True
            return
        key = {"key": int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)}
        async with self._writer.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")  # no transaction meanwhile
            is_ours = await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key)
            try:
                yield bool(is_ours)
            finally:
                if is_ours:
                    await connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)

    async def check(self) -> None:
        """Ask the database something; raises when it does not answer or was never migrated."""
        async with self.read() as session:
            await session.execute(text("SELECT version_num FROM alembic_version"))

    async def close(self) -> None:
        """Let go of all connections. Safe to call twice."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


def alembic_config(connection: Connection) -> Config:
    """What Alembic needs to know to work on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _file_of(url: URL) -> Path | None:
    """A SQLite database's; None where there is none."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def _sqlite(url: URL, *, connections: int, writes: bool, synchronous: str, enforces: bool = True) -> AsyncEngine:
    if writes and url.database:
        _prepare(Path(url.database))
    engine = create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_S,
        hide_parameters=True,  # contacts and hashes stay out of errors
        connect_args={"async_creator_fn": sqlite_thread.connect},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 would begin by itself, and late
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(WAIT_S * 1000)}")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if enforces else 'OFF'}")
        cursor.execute("PRAGMA secure_delete = ON")  # what is deleted or sealed leaves no trace in free pages
        if not writes:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        to_sqlite: sqlite_thread.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        to_sqlite.begin("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _empty_log(file: str) -> None:
    """Nothing of what was there before stays in it; waits for whoever writes."""
    with closing(sqlite3.connect(file, timeout=WAIT_S)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _prepare(file: Path) -> None:
    """Make the file, for nobody else to read, and switch it to WAL, which stays with it.

    That switch fails at once, whatever the timeout, while somebody else uses the file: perhaps for the same.
    """
    file.touch(mode=0o600)  # contacts are in it; SQLite gives its log the same mode
    give_up_at = time.monotonic() + WAIT_S
    with closing(sqlite3.connect(file, timeout=WAIT_S)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.01)
