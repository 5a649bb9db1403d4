"""One account's DuckDB file: takes batches, answers questions. Synchronous; call it from a worker thread.

Guarantees: a batch is in the file entirely or not at all, at most once by its id, and survives a crash of the
process or the machine once `write` has returned (DuckDB syncs its log at commit). Any number of threads
may call; writes take turns, reads see one consistent state each. After a `duckdb.Error` the file has to be
closed and opened anew: some of DuckDB's errors (a full disk) leave the open database unusable.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import duckdb

from agent.wire import Batch, MachineId, Reading
from backend.ids import SiteId
from backend.store import columns
from backend.store.protocol import Aggregate, Latest, Series, SeriesQuery, TooManyPoints

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_AGGREGATES: Final[dict[Aggregate, str]] = {
    "mean": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "sum(value)",
    "last": "arg_max(value, time)",
}


class HotFile:
    """An open file; made when it is not there. One process at a time can have it open."""

    def __init__(self, path: Path, *, memory_mb: int) -> None:
        path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._connection = duckdb.connect(
            str(path),
            config={
                "memory_limit": f"{memory_mb}MiB",
                "threads": 1,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,  # a table name never means a variable of ours
            },
        )
        path.chmod(0o600)
        self._writing = threading.Lock()
        for table in columns.TABLES:
            self._connection.execute(table)

    def write(self, batch: Batch, *, now: datetime) -> bool:
        """Store a batch, durably; False when its id is there already."""
        incoming = {
            "readings": columns.readings(batch),
            "boards": columns.boards(batch),
            "latest": columns.newest(batch),
        }
        with self._writing, self._connection.cursor() as cursor:
            cursor.begin()
            stored = _insert(cursor, batch, incoming, now)
            cursor.commit()  # not reached: the cursor's end rolls back
        return stored

    def latest(self, *, site: SiteId | None, since: datetime | None) -> list[Latest]:
        """The newest reading of each machine, by machine."""
        with self._connection.cursor() as cursor:
            rows = cursor.execute(
                "SELECT site, reading FROM latest WHERE ($site IS NULL OR site = $site)"
                " AND ($since::TIMESTAMP IS NULL OR time >= $since) ORDER BY machine",
                {"site": site, "since": None if since is None else _naive(since)},
            ).fetchall()
        return [Latest(site=SiteId(row[0]), reading=Reading.model_validate_json(row[1])) for row in rows]

    def series(self, query: SeriesQuery) -> list[Series]:
        """Answer a query; `Store.series` says how."""
        sql, values = _select(query)
        with self._connection.cursor() as cursor:
            rows = cursor.execute(sql, values).fetchall()
        if len(rows) > query.max_points:
            raise TooManyPoints(f"the answer has more than {query.max_points} points")
        return [
            Series(
                machine=None if machine is None else MachineId(machine),
                points=tuple((_EPOCH + timedelta(microseconds=at), value) for _, at, value in group),
            )
            for machine, group in groupby(rows, key=lambda row: row[0])
        ]

    def close(self) -> None:
        """Fold the log into the file and let go of it. Safe to call twice."""
        self._connection.close()


def _insert(cursor: duckdb.DuckDBPyConnection, batch: Batch, incoming: Mapping[str, object], now: datetime) -> bool:
    fresh = cursor.execute(
        "INSERT INTO batches VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id", [batch.id, _naive(now)]
    ).fetchall()
    if not fresh:
        return False
    for table, rows in incoming.items():
        cursor.register(f"incoming_{table}", rows)
    cursor.execute("INSERT INTO readings BY NAME SELECT * FROM incoming_readings")
    cursor.execute("INSERT INTO boards BY NAME SELECT * FROM incoming_boards")
    cursor.execute(
        "INSERT INTO latest BY NAME SELECT * FROM incoming_latest ON CONFLICT (machine) DO UPDATE"
        " SET site = excluded.site, time = excluded.time, reading = excluded.reading WHERE excluded.time > latest.time"
    )
    return True


def _select(query: SeriesQuery) -> tuple[str, dict[str, object]]:
    """The SQL of a query and its values: rows of machine, step (µs since 1970) and value, in that order."""
    value = columns.expression(query.metric)
    step = query.step // _MICROSECOND
    if step <= 0:
        raise ValueError("a step is longer than nothing")
    start = (query.start - _EPOCH) // _MICROSECOND // step * step
    values: dict[str, object] = {
        "start": _naive(_EPOCH + timedelta(microseconds=start)),
        "end": _naive(query.end),
        "step": step,
        "most": query.max_points + 1,
    }
    where = f"time >= $start AND time < $end AND {value} IS NOT NULL"
    if query.site is not None:
        where += " AND site = $site"
        values["site"] = query.site
    if query.machines:
        where += " AND machine IN (SELECT unnest($machines))"
        values["machines"] = list(query.machines)
    inner = f"""SELECT machine, epoch_us(time) // $step * $step AS step, {_AGGREGATES[query.aggregate]} AS value,
        max(time) AS time FROM (SELECT machine, time, {value} AS value FROM readings WHERE {where}) GROUP BY ALL"""  # noqa: S608 - of our own words only
    if query.across is None:
        return f"SELECT machine, step, value FROM ({inner}) ORDER BY machine, step LIMIT $most", values  # noqa: S608
    total = _AGGREGATES[query.across]
    return f"SELECT NULL, step, {total} FROM ({inner}) GROUP BY step ORDER BY step LIMIT $most", values  # noqa: S608


def _naive(time: datetime) -> datetime:
    """As DuckDB's TIMESTAMP has it: UTC without saying so."""
    return time.astimezone(UTC).replace(tzinfo=None)
