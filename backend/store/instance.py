"""The one DuckDB of the process: accounts' files are attached to it, so that memory and threads are bounded for all.

An instance for each account costs 5 MB, threads and 90 ms (DuckDB checks the extension's signature each time);
attaching a file to this one costs 4 ms and 0.4 MB, and 3 MB when it is written to, until it is closed.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

import duckdb

from backend.ids import AccountId
from backend.store.keys import AccountKey

BLOCK_BYTES: Final = 16_384
"""Of new files, the least that DuckDB has. Every column of a table that rows were added to holds a block in memory, and
an index sixteen times as much with DuckDB's own 262,144: 64 open accounts took 500 MB so, and take 160 MB."""
THREADS: Final = 1
"""For all questions and commits together: a second one costs each small commit a quarter more, and each has its own."""

SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": THREADS,
    "default_block_size": BLOCK_BYTES,
    "temp_file_encryption": True,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_unsigned_extensions": False,
    "python_enable_replacements": False,  # a table name never means a variable of ours
    "preserve_insertion_order": False,  # what we seal is sorted; the rest needs no order
    "enable_external_file_cache": False,  # would keep a second copy of what the system caches
}
EXTENSION: Final = (
    Path(str(files("duckdb_extension_httpfs"))) / f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
)
"""DuckDB writes encrypted files with OpenSSL only, which comes with this signed extension."""


class Instance:
    """An open DuckDB with OpenSSL, without any account yet."""

    def __init__(self, spill: Path, *, memory_mb: int) -> None:
        self._root = duckdb.connect(
            ":memory:",
            config=SETTINGS | {"memory_limit": f"{memory_mb}MiB", "temp_directory": str(spill)},
        )
        self._root.execute(f"LOAD '{EXTENSION}'")

    def attach(self, account: AccountId, path: Path, key: AccountKey) -> None:
        """Make an account's file usable, encrypted with its key; made when it is not there."""
        with self._root.cursor() as cursor:
            cursor.execute(f"ATTACH '{quoted(path)}' AS \"{account}\" (ENCRYPTION_KEY '{key.hot}')")
            cursor.execute(f"PRAGMA add_parquet_key('{account}', '{key.sealed}')")

    def detach(self, account: AccountId) -> None:
        """Fold the log into the account's file and let go of it; nobody may be using it."""
        with self._root.cursor() as cursor:
            cursor.execute(f'DETACH "{account}"')

    def cursor(self, account: AccountId) -> duckdb.DuckDBPyConnection:
        """A connection whose tables are the account's."""
        cursor = self._root.cursor()
        cursor.execute(f'USE "{account}"')
        return cursor

    def close(self) -> None:
        """Let go of all."""
        self._root.close()


def quoted(path: Path) -> str:
    """For a literal of SQL."""
    return str(path).replace("'", "''")
