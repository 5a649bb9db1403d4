"""An account's readings as plain files, one a day, and back.

Columns are the fields of a reading (`agent.wire.Reading`), in its units. What is a list in a reading is a list in
Parquet and JSON in CSV. An hour of it at a time goes through memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
from pydantic import ValidationError

from agent.wire import CONTRACT, Batch, Reading
from backend.store.hot import EPOCH, FOREVER, HOUR, HotFile, day_start, naive, windows
from backend.store.metrics import BOARD_DECIMALS, METRICS
from backend.store.protocol import Format

_BATCH: Final = 1_000
_NUMBERS: Final = tuple(name for name in METRICS if name in Reading.model_fields)
_WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")


def days(file: HotFile, start: datetime | None, end: datetime | None, *, now: datetime) -> list[date]:
    """Days of which there are readings that can be read."""
    with file.reading() as cursor:
        since = max(start or EPOCH, now - windows(cursor)["telemetry_raw"])
        rows = cursor.execute(
            "SELECT day FROM parts WHERE kind = 'readings' AND last >= $since AND first < $until"
            " UNION SELECT time::DATE FROM readings WHERE time >= $since AND time < $until ORDER BY 1",
            {"since": naive(since), "until": naive(end or FOREVER)},
        ).fetchall()
    return [row[0] for row in rows]


def hours(day: date, start: datetime | None, end: datetime | None) -> list[tuple[datetime, datetime]]:
    """The spans in which a day is read, so that nobody waits for who takes the file, and memory stays bounded."""
    spans = [(day_start(day) + HOUR * hour, day_start(day) + HOUR * (hour + 1)) for hour in range(24)]
    cut = [(max(since, start or since), min(until, end or until)) for since, until in spans]
    return [span for span in cut if span[0] < span[1]]


def table(file: HotFile, since: datetime, until: datetime, format: Format, *, now: datetime) -> pa.Table:
    """The readings of a span that can be read."""
    with file.reading() as cursor:
        since = max(since, now - windows(cursor)["telemetry_raw"])
        where = f"time >= TIMESTAMP '{naive(since)}' AND time < TIMESTAMP '{naive(until)}'"
        readings = file.source(cursor, "readings", _NAMES, where, since=since, until=until)
        names = f"time, site, machine, {_BOARD} AS board"
        boards = file.source(cursor, "boards", names, where, since=since, until=until)
        return cursor.execute(_select(readings, boards, format)).to_arrow_table()


class DayFile:
    """One file in the making: tables go in, bytes come out."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._bytes = io.BytesIO()
        self._taken = 0
        self._writer: Any = None

    def add(self, rows: pa.Table) -> bytes:
        """The bytes that this table adds."""
        if self._writer is None:
            self._writer = (
                csv.CSVWriter(self._bytes, rows.schema)
                if self._format == "csv"
                else parquet.ParquetWriter(self._bytes, rows.schema, compression="zstd")
            )
        if rows.num_rows:
            self._writer.write_table(rows)
        return self._new()

    def end(self) -> bytes:
        """The last bytes."""
        if self._writer is not None:
            self._writer.close()
        return self._new()

    def _new(self) -> bytes:
        written = self._bytes.getvalue()[self._taken :]
        self._taken += len(written)
        return written


def batches_of(name: str, content: bytes) -> list[Batch]:
    """What a file of an export (Parquet) holds, as batches that have the same ids each time. Raises `ValueError`."""
    try:
        rows = parquet.read_table(pa.BufferReader(content)).to_pylist()
        digest = sha256(content).digest()
        found = []
        by_site: dict[str, list[Reading]] = {}
        for row in rows:
            by_site.setdefault(row["site"], []).append(_reading(row))
        for site, readings in by_site.items():
            for at in range(0, len(readings), _BATCH):
                part = readings[at : at + _BATCH]
                id_ = UUID(bytes=sha256(digest + f"{site} {at}".encode()).digest()[:16])
                found.append(
                    Batch(
                        id=id_,
                        contract=CONTRACT,
                        site=site,
                        agent="import",
                        sent_at=part[-1].time,
                        readings=tuple(part),
                    )
                )
    except (pa.ArrowException, ValidationError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{name} is no file of an export ({type(error).__name__})") from error
    return found


_NAMES: Final = ", ".join(
    ("time", "site", "machine", "state", *_NUMBERS, *_WORDS, "fans_rpm", "fault_codes", "pools", "has_boards")
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
        for name in _NUMBERS
    ]
    lists = {name: f"r.{name}" for name in ("fans_rpm", "fault_codes", "pools")}
    lists["boards"] = "CASE WHEN r.has_boards THEN coalesce(b.boards, []) END"
    if format == "csv":
        lists = {name: sql if name == "pools" else f"to_json({sql})::VARCHAR" for name, sql in lists.items()}
    named = ", ".join(f"{sql} AS {name}" for name, sql in lists.items())
    return f"""SELECT r.time AT TIME ZONE 'UTC' AS time, r.site, r.machine, r.state,
        {", ".join(numbers)}, {", ".join(f"r.{name}" for name in _WORDS)}, {named}
        FROM {readings} r LEFT JOIN (
            SELECT machine, site, time, list(board ORDER BY board.index) AS boards FROM {boards} GROUP BY ALL
        ) b ON r.machine = b.machine AND r.site = b.site AND r.time = b.time ORDER BY r.machine, r.time"""  # noqa: S608


def _reading(row: Mapping[str, Any]) -> Reading:
    fields = {name: value for name, value in row.items() if value is not None and name != "site"}
    if "pools" in fields:
        fields["pools"] = json.loads(fields["pools"])
    return Reading.model_validate(fields)
