"""What a stopped backend has stored, decrypted with the keys that lie beside it: for tests that look into its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from backend.ids import AccountId
from backend.store.instance import Instance
from backend.store.keys import Keys, made_or_loaded


@contextlib.contextmanager
def opened(hot_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An account's hot file as its backend opens it; the backend has to be stopped."""
    home = hot_file.parent
    account = AccountId(home.name)
    key = Keys(made_or_loaded(home.parent / "master.key")).load(home / "key", account)
    with contextlib.closing(Instance(home / "spill", memory_mb=256)) as instance:
        instance.attach(account, hot_file, key)
        with instance.cursor(account) as cursor:
            yield cursor
        instance.detach(account)


def rows_as_text(hot_file: Path) -> Iterator[bytes]:
    """Each table's rows, and those of its sealed days, as text."""
    with opened(hot_file) as cursor:
        for (table,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            rows = cursor.execute(f'SELECT CAST(t AS VARCHAR) FROM "{table}" t').fetchall()
            yield "\n".join(row for (row,) in rows).encode()
        for sealed in sorted((hot_file.parent / "sealed").rglob("*.parquet")):
            rows = cursor.execute(
                f"SELECT CAST(t AS VARCHAR) FROM read_parquet('{sealed}', "
                f"encryption_config = {{footer_key: '{hot_file.parent.name}'}}) t"
            ).fetchall()
            yield "\n".join(row for (row,) in rows).encode()
