"""What goes from an account's files: what is past its window, and what somebody wants erased.

Days that are past go with their files, which is a matter of milliseconds and gives the space back at once. The hot
file keeps its size and uses the space again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import duckdb

from backend.store.columns import Kind
from backend.store.hot import EPOCH, FOREVER, HOUR, HotFile, aware, naive, windows
from backend.store.protocol import DataClass, Hold, Part, Removed
from backend.store.sealing import Made, count, write_file

CLASSES: Final[Mapping[DataClass, tuple[Kind, ...]]] = {
    "telemetry_raw": ("readings", "boards", "told"),
    "telemetry_rollup": ("rollup_1h",),
}
_COUNTED: Final = ("readings", "told", "rollup_1h")
"""Kinds whose rows are told; boards are part of their reading."""
_BATCHES_KEPT: Final = timedelta(days=31)
"""How long ids of batches are known: an agent may come with readings that are 30 days old, and come again."""


@dataclass(slots=True)
class _Tally:
    """What is gone of one class."""

    rows: int = 0
    bytes: int = 0
    start: datetime | None = None
    end: datetime | None = None

    def add(self, kind: str, rows: int, size: int, first: datetime | None, last: datetime | None) -> None:
        self.rows += rows if kind in _COUNTED else 0
        self.bytes += size
        if first is not None and last is not None:
            self.start = first if self.start is None else min(self.start, first)
            self.end = last if self.end is None else max(self.end, last)

    def removed(self, data_class: DataClass) -> list[Removed]:
        if not self.rows and not self.bytes:
            return []
        return [Removed(data_class, aware(self.start), aware(self.end), self.rows, self.bytes)]


def set_window(file: HotFile, data_class: DataClass, window: timedelta) -> None:
    """Reads that begin after this see nothing older."""
    with file.writing() as cursor:
        cursor.execute(
            "INSERT OR REPLACE INTO windows VALUES (?, ?)", [data_class, window // timedelta(microseconds=1)]
        )


def sweep(file: HotFile, *, now: datetime, holds: Mapping[DataClass, Hold]) -> list[Removed]:
    """Remove what is past its window: whole days of sealed files, and from the hot file to the microsecond."""
    removed: list[Removed] = []
    try:
        with file.writing() as cursor:
            for data_class, window in windows(cursor).items():
                tally = _Tally()
                for kind in CLASSES[data_class]:
                    _sweep_kind(cursor, kind, now - window, holds.get(data_class), tally)
                removed += tally.removed(data_class)
            cursor.execute("DELETE FROM batches WHERE received_at < ?", [naive(now - _BATCHES_KEPT)])
            if "telemetry_raw" not in holds:
                since = naive(now - windows(cursor)["telemetry_raw"])
                cursor.execute("DELETE FROM latest WHERE time < ?", [since])
                cursor.execute("DELETE FROM touched WHERE hour < ?", [since - HOUR])
    finally:
        file.unlink_strangers()
    return removed


def erase(file: HotFile, part: Part) -> list[Removed]:
    """Remove a part of the account: rows of the hot file, and sealed files are written anew without them."""
    removed: list[Removed] = []
    try:
        with file.writing() as cursor:  # nothing may come in while files are written anew
            commit = file.next_commit()
            for data_class, kinds in CLASSES.items():
                tally = _Tally()
                for kind in kinds:
                    if kind == "told" and part.machine is not None:
                        continue  # of five machines and more: it tells of none
                    _erase_kind(file, cursor, kind, part, tally)
                removed += tally.removed(data_class)
            cursor.execute(f"DELETE FROM latest WHERE {_matching('readings', part)}", _values(part))  # noqa: S608
            _touch_edges(cursor, part, commit)
    finally:
        file.unlink_strangers()
    with file.instance.cursor(file.account) as cursor:
        cursor.execute("CHECKPOINT")
    return removed


def oldest(file: HotFile) -> dict[DataClass, datetime | None]:
    """The oldest record on disk, by class."""
    found: dict[DataClass, datetime | None] = {}
    with file.reading() as cursor:
        for data_class, kinds in CLASSES.items():
            times = [
                cursor.execute(
                    f"SELECT least((SELECT min(time) FROM {kind}), (SELECT min(first) FROM parts WHERE kind = ?))",  # noqa: S608
                    [kind],
                ).fetchall()[0][0]
                for kind in kinds
            ]
            found[data_class] = aware(min((time for time in times if time is not None), default=None))
    return found


def rows(file: HotFile) -> dict[DataClass, int]:
    """How many readings and how many rollups there are."""
    found: dict[DataClass, int] = {}
    with file.reading() as cursor:
        for data_class, kinds in CLASSES.items():
            counts = [
                cursor.execute(
                    f"SELECT (SELECT count(*) FROM {kind})"  # noqa: S608
                    " + (SELECT coalesce(sum(rows), 0)::BIGINT FROM parts WHERE kind = ?)",
                    [kind],
                ).fetchall()[0][0]
                for kind in kinds
                if kind in _COUNTED
            ]
            found[data_class] = sum(counts)
    return found


def usage(file: HotFile) -> dict[DataClass, int]:
    """Bytes on disk, by class."""
    with file.reading() as cursor:
        sizes = dict(cursor.execute("SELECT kind, sum(bytes)::BIGINT FROM parts GROUP BY kind").fetchall())
    found = {data_class: sum(sizes.get(kind, 0) for kind in kinds) for data_class, kinds in CLASSES.items()}
    found["telemetry_raw"] += file.bytes_hot()
    return found


def _sweep_kind(
    cursor: duckdb.DuckDBPyConnection, kind: Kind, before: datetime, hold: Hold | None, tally: _Tally
) -> None:
    held_from, held_to = _held(hold)
    rows = cursor.execute(
        "DELETE FROM parts WHERE kind = ? AND day < ? AND NOT (last >= ? AND first < ?)"
        " RETURNING kind, rows, bytes, first, last",
        [kind, before.date(), held_from, held_to],
    ).fetchall()
    for row in rows:
        tally.add(*row)
    where = "time < ? AND NOT (time >= ? AND time < ?)"
    values = [naive(before), held_from, held_to]
    told = cursor.execute(f"SELECT count(*), min(time), max(time) FROM {kind} WHERE {where}", values).fetchall()[0]  # noqa: S608
    if told[0]:
        cursor.execute(f"DELETE FROM {kind} WHERE {where}", values)  # noqa: S608
        tally.add(kind, told[0], 0, told[1], told[2])


def _held(hold: Hold | None) -> tuple[datetime, datetime]:
    if hold is None:
        return naive(EPOCH), naive(EPOCH)
    return naive(hold.start or EPOCH), naive(hold.end or FOREVER)


def _erase_kind(file: HotFile, cursor: duckdb.DuckDBPyConnection, kind: Kind, part: Part, tally: _Tally) -> None:
    where, values = _matching(kind, part), _values(part)
    told = cursor.execute(f"SELECT count(*), min(time), max(time) FROM {kind} WHERE {where}", values).fetchall()[0]  # noqa: S608
    if told[0]:
        cursor.execute(f"DELETE FROM {kind} WHERE {where}", values)  # noqa: S608
        tally.add(kind, told[0], 0, told[1], told[2])
    start, end = _bounds(kind, part)
    made: list[Made] = []
    gone: list[str] = []
    for name, day, size in cursor.execute(
        "SELECT name, day, bytes FROM parts WHERE kind = ? AND last >= ? AND first < ?",
        [kind, naive(start), naive(end)],
    ).fetchall():
        told = cursor.execute(
            f"SELECT count(*), min(time), max(time) FROM {file.parquet(iter([name]))} WHERE {where}",  # noqa: S608
            values,
        ).fetchall()[0]
        if told[0]:
            left = _without(file, cursor, kind, day, name, part)
            made += left
            gone.append(name)
            tally.add(kind, told[0], size - sum(one.bytes for one in left), told[1], told[2])
    count(cursor, made, gone)


def _without(
    file: HotFile, cursor: duckdb.DuckDBPyConnection, kind: Kind, day: date, name: str, part: Part
) -> list[Made]:
    matching = _matching(kind, part)
    for word, value in _values(part).items():
        matching = matching.replace(f"${word}", f"'{value}'")  # a COPY takes no values; ids hold no quotes
    left = write_file(
        file,
        cursor,
        kind,
        day,
        f"SELECT * FROM {file.parquet(iter([name]))} WHERE NOT ({matching})",  # noqa: S608
    )
    return [] if left is None else [left]


def _matching(kind: Kind, part: Part) -> str:
    start, end = _bounds(kind, part)
    words = [f"time >= TIMESTAMP '{naive(start)}'", f"time < TIMESTAMP '{naive(end)}'"]
    if part.site is not None:
        words.append("site = $site")
    if part.machine is not None:
        words.append("machine = $machine")
    return " AND ".join(words)


def _values(part: Part) -> dict[str, Any]:
    return {name: value for name, value in {"site": part.site, "machine": part.machine}.items() if value is not None}


def _bounds(kind: Kind, part: Part) -> tuple[datetime, datetime]:
    """Of rollups the whole hours that the part is in."""
    start = part.start or EPOCH
    end = part.end or FOREVER
    if kind in CLASSES["telemetry_rollup"]:
        start = (start - EPOCH) // HOUR * HOUR + EPOCH
        end = -(-(end - EPOCH) // HOUR) * HOUR + EPOCH
    return start, end


def _touch_edges(cursor: duckdb.DuckDBPyConnection, part: Part, commit: int) -> None:
    """The first and the last hour may have readings left: their rollups are worked out anew."""
    for edge in (part.start, part.end):
        if edge is not None and edge > edge.replace(minute=0, second=0, microsecond=0):
            hour = naive(edge.replace(minute=0, second=0, microsecond=0))
            has_readings = cursor.execute(
                "SELECT 1 WHERE EXISTS (FROM parts WHERE kind = 'readings' AND last >= $hour"
                " AND first < $hour + INTERVAL 1 HOUR) OR EXISTS (FROM readings WHERE time >= $hour"
                " AND time < $hour + INTERVAL 1 HOUR)",
                {"hour": hour},
            ).fetchone()
            if has_readings is not None:
                cursor.execute("INSERT OR REPLACE INTO touched VALUES (?, ?)", [hour, commit])
