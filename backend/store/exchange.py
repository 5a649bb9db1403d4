"""An account's data as plain files, one a day, and back: the same files whichever engine makes them.

Columns are the fields of a reading (`agent.wire.Reading`), in its units. What is a list in a reading is a list in
Parquet and JSON in CSV. Totals that sites told (`agent.wire.Aggregate`) are files of their own.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
from pydantic import ValidationError

from agent.wire import CONTRACT, Aggregate, Batch, Reading, Spread
from backend.store import told
from backend.store.metrics import BOARD_DECIMALS, METRICS
from backend.store.protocol import ExportPart, Format, Told

NUMBERS: Final = tuple(name for name in METRICS if name in Reading.model_fields)
WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")
_BATCH: Final = 1_000
_HOUR: Final = timedelta(hours=1)
_TIME: Final = pa.timestamp("us", tz="UTC")
_TYPES: Final[Mapping[str, pa.DataType]] = {"float": pa.float64(), "integer": pa.int64(), "flag": pa.bool_()}
_LISTS: Final[Mapping[str, pa.DataType]] = {
    "fans_rpm": pa.list_(pa.int32()),
    "fault_codes": pa.list_(pa.string()),
    "pools": pa.string(),  # JSON in both formats
    "boards": pa.list_(
        pa.struct(
            [
                ("index", pa.uint8()),
                *((name, pa.float64() if decimals else pa.int64()) for name, decimals in BOARD_DECIMALS.items()),
            ]
        )
    ),
}
_SPREAD: Final = {f"{name}_{part}": (name, part) for name in told.SPREADS for part in Spread.model_fields}
TOTALS: Final = pa.schema(
    {
        "time": _TIME,
        **dict.fromkeys(("site", "make", "model"), pa.string()),
        **dict.fromkeys(told.COUNTS, pa.int64()),
        **{name: pa.int64() if part == "machines" else pa.float64() for name, (_, part) in _SPREAD.items()},
    }
)
"""The columns of a file of totals, in both formats."""


def readings(format: Format) -> pa.Schema:
    """The columns of a file of readings."""
    columns: dict[str, pa.DataType] = {"time": _TIME}
    columns |= dict.fromkeys(("site", "machine", "state"), pa.string())
    columns |= {name: _TYPES[METRICS[name].type] for name in NUMBERS}
    columns |= dict.fromkeys(WORDS, pa.string())
    columns |= dict.fromkeys(_LISTS, pa.string()) if format == "csv" else _LISTS
    return pa.schema(columns)


class File:
    """A file that is made piece by piece, its bytes taken away as they come. For a worker thread."""

    def __init__(self, schema: pa.Schema, format: Format) -> None:
        self._schema = schema
        self._bytes = _Growing()
        sink = pa.PythonFile(self._bytes, mode="w")
        self._writer: Any = (
            csv.CSVWriter(sink, schema)  # type: ignore[arg-type]  # the stubs do not know NativeFile here
            if format == "csv"
            else parquet.ParquetWriter(sink, schema, compression="zstd")
        )

    def add(self, rows: pa.Table) -> bytes:
        """Write rows; the bytes that are ready."""
        if rows.num_rows:
            self._writer.write_table(rows.cast(self._schema))
        return self._bytes.taken()

    def end(self) -> bytes:
        """The last bytes."""
        self._writer.close()
        return self._bytes.taken()


def hours(day: date, start: datetime | None, end: datetime | None) -> list[tuple[datetime, datetime]]:
    """The spans in which a day is read, so that nobody waits for who takes the file, and memory stays bounded."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    spans = [(midnight + _HOUR * hour, midnight + _HOUR * (hour + 1)) for hour in range(24)]
    cut = [(max(since, start or since), min(until, end or until)) for since, until in spans]
    return [span for span in cut if span[0] < span[1]]


def totals_part(
    day: date,
    start: datetime | None,
    end: datetime | None,
    format: Format,
    ask: Callable[[datetime, datetime], Awaitable[Sequence[Told]]],
) -> ExportPart:
    """A day's told totals; `ask` gives those of a span."""

    async def chunks() -> AsyncIterator[bytes]:
        file = File(TOTALS, format)
        for span in hours(day, start, end):
            if chunk := file.add(_table(await ask(*span))):
                yield chunk
        yield file.end()

    return ExportPart(f"totals-{day}.{format}", chunks())


def batches_of(name: str, content: bytes) -> list[Batch]:
    """What a file of an export (Parquet) holds, as batches that have the same ids each time. Raises `ValueError`."""
    try:
        table = parquet.read_table(pa.BufferReader(content))
        is_of_totals = "machine" not in table.column_names
        digest = sha256(content).digest()
        by_site: dict[str, list[Any]] = {}
        for row in table.to_pylist():
            by_site.setdefault(row["site"], []).append(_total(row) if is_of_totals else _reading(row))
        found = []
        for site, every in by_site.items():
            for at in range(0, len(every), _BATCH):
                part = tuple(every[at : at + _BATCH])
                found.append(
                    Batch(
                        id=UUID(bytes=sha256(digest + f"{site} {at}".encode()).digest()[:16]),
                        contract=CONTRACT,
                        site=site,
                        agent="import",
                        sent_at=part[-1].time,
                        readings=() if is_of_totals else part,
                        aggregates=part if is_of_totals else None,
                    )
                )
    except (pa.ArrowException, ValidationError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{name} is no file of an export ({type(error).__name__})") from error
    return found


class _Growing(io.RawIOBase):
    """Where a writer writes; what it wrote can be taken away meanwhile."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _table(totals: Iterable[Told]) -> pa.Table:
    rows = []
    for one in totals:
        row = {name: getattr(one.total, name) for name in ("time", "make", "model", *told.COUNTS)}
        spreads = {name: getattr(getattr(one.total, of), part, None) for name, (of, part) in _SPREAD.items()}
        rows.append({"site": one.site, **row, **spreads})
    return pa.Table.from_pylist(rows, TOTALS)


def _total(row: Mapping[str, Any]) -> Aggregate:
    spreads: dict[str, dict[str, Any]] = {}
    for name, (of, part) in _SPREAD.items():
        if row[name] is not None:
            spreads.setdefault(of, {})[part] = row[name]
    fields = {name: row[name] for name in ("time", "make", "model", *told.COUNTS)}
    return Aggregate.model_validate({**fields, **spreads})


def _reading(row: Mapping[str, Any]) -> Reading:
    fields = {name: value for name, value in row.items() if value is not None and name != "site"}
    if "pools" in fields:
        fields["pools"] = json.loads(fields["pools"])
    return Reading.model_validate(fields)


def batch_count(batch: Batch) -> int:
    """How many readings and totals it has."""
    return len(batch.readings) + len(batch.aggregates or ())
