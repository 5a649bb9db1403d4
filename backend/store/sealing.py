"""A day that is over goes from the hot file to Parquet: a third of the space, and to forget it is to unlink it.

Files are written and synced beside the others, then one transaction makes them count and deletes the rows that they
hold. A crash before it leaves files that nobody counts, which go when the account is opened next; a crash after it
leaves nothing to do. Late readings become a further file of their day; when a day has many, they become one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import duckdb

from backend.durable import sync_folder
from backend.store.columns import COLUMNS, Kind
from backend.store.hot import HotFile, day_start, naive, sync_file
from backend.store.instance import quoted
from backend.store.protocol import GAP
from backend.store.rollups import NEEDED, rolled

GRACE: Final = timedelta(hours=2)
"""After a day's end: most late readings have come by then."""
MOST_FILES: Final = 4
"""Of one kind and day; with more, they are made one."""
RAW: Final[tuple[Kind, ...]] = ("readings", "boards", "told")
_DAY: Final = timedelta(days=1)
_ORDER: Final[dict[Kind, str]] = {
    "readings": "machine, time",
    "boards": "machine, index, time",
    "told": "site, make, model, time",
    "rollup_1h": "machine, time",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is complete on disk and does not count yet."""

    name: str
    kind: Kind
    day: date
    rows: int
    bytes: int
    first: datetime
    last: datetime


def due(file: HotFile, *, now: datetime) -> list[date]:
    """Days that are over and have rows or touched hours in the hot file."""
    with file.reading() as cursor:
        rows = cursor.execute(
            "SELECT DISTINCT time::DATE FROM readings WHERE time < $before"
            " UNION SELECT time::DATE FROM told WHERE time < $before"
            " UNION SELECT hour::DATE FROM touched WHERE hour < $before"
            " UNION SELECT time::DATE FROM rollup_1h WHERE time < $before ORDER BY 1",
            {"before": naive((now - GRACE).replace(hour=0, minute=0, second=0, microsecond=0))},
        ).fetchall()
    return [row[0] for row in rows]


def seal(file: HotFile, day: date) -> None:
    """Move a day's rows to sealed files and work its rollups out of all its readings."""
    try:
        upto = file.settled()
        with file.reading() as cursor:
            old = _files(cursor, day)
            merged = [kind for kind in RAW if len(old.get(kind, ())) >= MOST_FILES]
            made = [*_raw(file, cursor, day, upto, merged), *_rollups(file, cursor, day)]
        gone = [name for kind, names in old.items() if kind in ("rollup_1h", *merged) for name in names]
        with file.writing() as cursor:
            count(cursor, made, gone)
            _forget_hot(cursor, day, upto)
    finally:
        file.unlink_strangers()


def count(cursor: duckdb.DuckDBPyConnection, made: Sequence[Made], gone: Sequence[str]) -> None:
    """From this transaction on, these files count and those do not."""
    cursor.execute("DELETE FROM parts WHERE name IN (SELECT unnest(?::VARCHAR[]))", [list(gone)])
    for one in made:
        cursor.execute(
            "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
            [one.name, one.kind, one.day, one.rows, one.bytes, one.first, one.last],
        )


def write_file(file: HotFile, cursor: duckdb.DuckDBPyConnection, kind: Kind, day: date, select: str) -> Made | None:
    """Write a sealed file, encrypted and synced; None when there is no row."""
    name = f"{kind}-{day}-{secrets.token_hex(6)}.parquet"
    path = file.sealed(name)
    cursor.execute(
        f"COPY (SELECT {COLUMNS[kind]} FROM ({select}) ORDER BY {_ORDER[kind]}) TO '{quoted(path)}' (FORMAT parquet,"  # noqa: S608
        f" COMPRESSION zstd, COMPRESSION_LEVEL 6, PARQUET_VERSION v2, ROW_GROUP_SIZE 122880,"
        f" ENCRYPTION_CONFIG {{footer_key: '{file.account}'}})"
    )
    rows, first, last = cursor.execute(
        f"SELECT count(*), min(time), max(time) FROM {file.parquet(iter([name]))}"  # noqa: S608
    ).fetchall()[0]
    if rows == 0:
        path.unlink()
        return None
    path.chmod(0o600)
    sync_file(path)
    sync_folder(path.parent)
    return Made(name, kind, day, rows, path.stat().st_size, first, last)


def _files(cursor: duckdb.DuckDBPyConnection, day: date) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, name in cursor.execute("SELECT kind, name FROM parts WHERE day = ?", [day]).fetchall():
        found.setdefault(kind, []).append(name)
    return found


def _raw(file: HotFile, cursor: duckdb.DuckDBPyConnection, day: date, upto: int, merged: Sequence[Kind]) -> list[Made]:
    made = []
    for kind in RAW:
        select = f"SELECT * EXCLUDE written FROM {kind} WHERE written <= {upto} AND {_of(day)}"  # noqa: S608
        if kind in merged:
            names = (row[0] for row in _parts(cursor, kind, day))
            select += f" UNION ALL BY NAME SELECT * FROM {file.parquet(names)}"  # noqa: S608
        made.append(write_file(file, cursor, kind, day, select))
    return [one for one in made if one is not None]


def _rollups(file: HotFile, cursor: duckdb.DuckDBPyConnection, day: date) -> list[Made]:
    """From all readings of the day; hours that are touched meanwhile stay touched."""
    start = day_start(day)
    since, until = start - GAP, start + _DAY
    where = f"time >= TIMESTAMP '{naive(since)}' AND time < TIMESTAMP '{naive(until)}'"
    source = file.source(cursor, "readings", NEEDED, where, since=since, until=until)
    made = write_file(file, cursor, "rollup_1h", day, rolled(source, start))
    return [] if made is None else [made]


def _forget_hot(cursor: duckdb.DuckDBPyConnection, day: date, upto: int) -> None:
    for kind in RAW:
        cursor.execute(f"DELETE FROM {kind} WHERE written <= ? AND {_of(day)}", [upto])  # noqa: S608
    cursor.execute(f"DELETE FROM rollup_1h WHERE {_of(day)}")  # noqa: S608
    cursor.execute("DELETE FROM touched WHERE written <= ? AND hour::DATE = ?", [upto, day])


def _parts(cursor: duckdb.DuckDBPyConnection, kind: Kind, day: date) -> list[tuple[str]]:
    return cursor.execute("SELECT name FROM parts WHERE kind = ? AND day = ?", [kind, day]).fetchall()


def _of(day: date) -> str:
    start = day_start(day)
    return f"time >= TIMESTAMP '{naive(start)}' AND time < TIMESTAMP '{naive(start + _DAY)}'"
