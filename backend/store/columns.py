"""A batch as Arrow columns: the shape of the tables in an account's file, and how readings fill them.

DuckDB takes columns 50 times faster than rows (23–45 k polls/s against 300 with `executemany`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from pydantic import TypeAdapter

from agent.wire import Batch, Pool, Reading
from backend.store.metrics import METRICS, Type

_TIME: Final = pa.timestamp("us", tz="UTC")
_ARROW: Final[dict[Type, pa.DataType]] = {"float": pa.float64(), "integer": pa.int64(), "flag": pa.bool_()}
_SQL: Final[dict[Type, str]] = {"float": "DOUBLE", "integer": "BIGINT", "flag": "BOOLEAN"}
_FROM_STATE: Final = {name for name in METRICS if name.startswith("is_") and name != "is_meant_to_mine"}
_STORED: Final = {name: metric for name, metric in METRICS.items() if name not in _FROM_STATE}
_WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")
_OF_BOARD: Final = (
    "hashrate_ths",
    "expected_ths",
    "board_temp_c",
    "chip_temp_c",
    "chips_working",
    "chips_expected",
    "frequency_mhz",
    "voltage_v",
)

_POOLS: Final = TypeAdapter(tuple[Pool, ...])

TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS readings (
        time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL, state VARCHAR NOT NULL,
        {", ".join(f"{name} {_SQL[metric.type]}" for name, metric in _STORED.items())},
        {", ".join(f"{name} VARCHAR" for name in _WORDS)},
        fans_rpm INTEGER[], fault_codes VARCHAR[], pools VARCHAR
    )""",
    f"""CREATE TABLE IF NOT EXISTS boards (
        time TIMESTAMP NOT NULL, machine VARCHAR NOT NULL, index UTINYINT NOT NULL,
        {", ".join(f"{name} {'BIGINT' if name.startswith('chips') else 'DOUBLE'}" for name in _OF_BOARD)}
    )""",
    """CREATE TABLE IF NOT EXISTS latest (
        machine VARCHAR PRIMARY KEY, site VARCHAR NOT NULL, time TIMESTAMP NOT NULL, reading VARCHAR NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS batches (id UUID PRIMARY KEY, received_at TIMESTAMP NOT NULL)",
)
"""Times are UTC. `boards` hang on `readings` by machine and time; `latest` keeps each machine's newest whole."""


def expression(metric: str) -> str:
    """SQL that gives a metric from a row of `readings`. Raises `KeyError` for one that there is not."""
    if metric in _FROM_STATE:
        state = metric.removeprefix("is_")
        return "(state <> 'unreachable')::DOUBLE" if state == "reachable" else f"(state = '{state}')::DOUBLE"
    _ = _STORED[metric]
    return f"{metric}::DOUBLE"


def readings(batch: Batch) -> pa.Table:
    """One row a reading, for the table `readings`."""
    rows = batch.readings
    columns: dict[str, pa.Array[Any]] = {
        "time": _times(row.time for row in rows),
        "site": pa.array([batch.site] * len(rows), pa.string()),
        "machine": _strings(row.machine for row in rows),
        "state": _strings(row.state.value for row in rows),
    }
    for name, metric in _STORED.items():
        of = metric.of
        values: Sequence[Any] = [of(row) for row in rows]
        if metric.type == "flag":
            values = [None if value is None else bool(value) for value in values]
        columns[name] = pa.array(values, _ARROW[metric.type])
    for name in _WORDS:
        columns[name] = _strings(getattr(row, name) for row in rows)
    columns["fans_rpm"] = pa.array([row.fans_rpm for row in rows], pa.list_(pa.int32()))
    columns["fault_codes"] = pa.array([row.fault_codes for row in rows], pa.list_(pa.string()))
    columns["pools"] = _strings(_pools(row.pools) for row in rows)
    return pa.table(columns)


def boards(batch: Batch) -> pa.Table:
    """One row a board, for the table `boards`."""
    rows = [(reading, board) for reading in batch.readings for board in reading.boards or ()]
    columns: dict[str, pa.Array[Any]] = {
        "time": _times(reading.time for reading, _ in rows),
        "machine": _strings(reading.machine for reading, _ in rows),
        "index": pa.array([board.index for _, board in rows], pa.uint8()),
    }
    for name in _OF_BOARD:
        kind = pa.int64() if name.startswith("chips") else pa.float64()
        columns[name] = pa.array([getattr(board, name) for _, board in rows], kind)
    return pa.table(columns)


def newest(batch: Batch) -> pa.Table:
    """One row a machine, for the table `latest`; of equal times the first stays."""
    newest_of: dict[str, Reading] = {}
    for reading in batch.readings:
        known = newest_of.get(reading.machine)
        if known is None or reading.time > known.time:
            newest_of[reading.machine] = reading
    rows = list(newest_of.values())
    return pa.table(
        {
            "machine": _strings(row.machine for row in rows),
            "site": pa.array([batch.site] * len(rows), pa.string()),
            "time": _times(row.time for row in rows),
            "reading": _strings(row.model_dump_json(exclude_none=True) for row in rows),
        }
    )


def _strings(values: Iterable[str | None]) -> pa.Array[Any]:
    return pa.array(list(values), pa.string())


def _times(values: Iterable[datetime]) -> pa.Array[Any]:
    return pa.array(list(values), _TIME).cast(pa.timestamp("us"))


def _pools(pools: tuple[Pool, ...] | None) -> str | None:
    if pools is None:
        return None
    return _POOLS.dump_json(pools, exclude_none=True).decode()
