"""What of an account's file goes into an export (`backend.store.exchange`); an hour at a time goes through memory."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final, Literal

import pyarrow as pa

from backend.store.exchange import NUMBERS, WORDS
from backend.store.hot import EPOCH, FOREVER, HotFile, naive, windows
from backend.store.metrics import BOARD_DECIMALS, METRICS
from backend.store.protocol import Format


def days(
    file: HotFile, kind: Literal["readings", "told"], start: datetime | None, end: datetime | None, *, now: datetime
) -> list[date]:
    """Days of which there are rows of a kind that can be read."""
    with file.reading() as cursor:
        since = max(start or EPOCH, now - windows(cursor)["telemetry_raw"])
        rows = cursor.execute(
            "SELECT day FROM parts WHERE kind = $kind AND last >= $since AND first < $until"  # noqa: S608
            f" UNION SELECT time::DATE FROM {kind} WHERE time >= $since AND time < $until ORDER BY 1",
            {"kind": kind, "since": naive(since), "until": naive(end or FOREVER)},
        ).fetchall()
    return [row[0] for row in rows]


def table(file: HotFile, since: datetime, until: datetime, format: Format, *, now: datetime) -> pa.Table:
    """The readings of a span that can be read."""
    with file.reading() as cursor:
        since = max(since, now - windows(cursor)["telemetry_raw"])
        where = f"time >= TIMESTAMP '{naive(since)}' AND time < TIMESTAMP '{naive(until)}'"
        readings = file.source(cursor, "readings", _NAMES, where, since=since, until=until)
        names = f"time, site, machine, {_BOARD} AS board"
        boards = file.source(cursor, "boards", names, where, since=since, until=until)
        return cursor.execute(_select(readings, boards, format)).to_arrow_table()


_NAMES: Final = ", ".join(
    ("time", "site", "machine", "state", *NUMBERS, *WORDS, "fans_rpm", "fault_codes", "pools", "has_boards")
)
_BOARD: Final = (
    "struct_pack(index := index, "
    + ", ".join(
        f"{name} := {name}" if decimals == 0 else f"{name} := {name}::DOUBLE / {10**decimals}"
        for name, decimals in BOARD_DECIMALS.items()
    )
    + ")"
)


def _select(readings: str, boards: str, format: Format) -> str:
    numbers = [
        f"r.{name}" if METRICS[name].decimals == 0 else f"r.{name}::DOUBLE / {10 ** METRICS[name].decimals} AS {name}"
        for name in NUMBERS
    ]
    lists = {name: f"r.{name}" for name in ("fans_rpm", "fault_codes", "pools")}
    lists["boards"] = "CASE WHEN r.has_boards THEN coalesce(b.boards, []) END"
    if format == "csv":
        lists = {name: sql if name == "pools" else f"to_json({sql})::VARCHAR" for name, sql in lists.items()}
    named = ", ".join(f"{sql} AS {name}" for name, sql in lists.items())
    return f"""SELECT r.time AT TIME ZONE 'UTC' AS time, r.site, r.machine, r.state,
        {", ".join(numbers)}, {", ".join(f"r.{name}" for name in WORDS)}, {named}
        FROM {readings} r LEFT JOIN (
            SELECT machine, site, time, list(board ORDER BY board.index) AS boards FROM {boards} GROUP BY ALL
        ) b ON r.machine = b.machine AND r.site = b.site AND r.time = b.time ORDER BY r.machine, r.time"""  # noqa: S608
