"""An account's readings as plain files, one a day: the same as the embedded engine's (`backend.store.exporting`)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from agent.wire import Board, Reading
from backend.ids import SiteId
from backend.store.metrics import BOARD_DECIMALS, METRICS
from backend.store.protocol import Format

_NUMBERS: Final = tuple(name for name in METRICS if name in Reading.model_fields)
_WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")
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


def schema(format: Format) -> pa.Schema:
    """The columns of a file: the fields of a reading, in its units."""
    columns: dict[str, pa.DataType] = {"time": pa.timestamp("us", tz="UTC")}
    columns |= dict.fromkeys(("site", "machine", "state"), pa.string())
    columns |= {name: _TYPES[METRICS[name].type] for name in _NUMBERS}
    columns |= dict.fromkeys(_WORDS, pa.string())
    columns |= dict.fromkeys(_LISTS, pa.string()) if format == "csv" else _LISTS
    return pa.schema(columns)


class File:
    """A file that is made piece by piece, its bytes taken away as they come. For a worker thread."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._schema = schema(format)
        self._bytes = _Growing()
        sink = pa.PythonFile(self._bytes, mode="w")
        self._writer: Any = (
            csv.CSVWriter(sink, self._schema)  # type: ignore[arg-type]  # the stubs do not know NativeFile here
            if format == "csv"
            else parquet.ParquetWriter(sink, self._schema, compression="zstd")
        )

    def add(self, readings: Iterable[tuple[SiteId, Reading]]) -> bytes:
        """Write readings; the bytes that are ready."""
        rows = [self._row(site, reading) for site, reading in readings]
        self._writer.write_table(pa.Table.from_pylist(rows, self._schema))
        return self._bytes.taken()

    def end(self) -> bytes:
        """The last bytes."""
        self._writer.close()
        return self._bytes.taken()

    def _row(self, site: SiteId, reading: Reading) -> dict[str, Any]:
        values = {name: getattr(reading, name) for name in ("time", "machine", *_NUMBERS, *_WORDS)}
        lists: dict[str, Any] = {
            "fans_rpm": reading.fans_rpm,
            "fault_codes": reading.fault_codes,
            "pools": None,
            "boards": None if reading.boards is None else [_board(board) for board in reading.boards],
        }
        if reading.pools is not None:
            lists["pools"] = json.dumps([pool.model_dump(exclude_none=True) for pool in reading.pools])
        if self._format == "csv":
            for name in ("fans_rpm", "fault_codes", "boards"):
                lists[name] = None if lists[name] is None else json.dumps(lists[name])
        return {**values, "site": site, "state": reading.state.value, **lists}


class _Growing(io.RawIOBase):
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


def _board(board: Board) -> dict[str, Any]:
    return {"index": board.index, **{name: getattr(board, name) for name in BOARD_DECIMALS}}
