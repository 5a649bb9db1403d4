"""A batch as Arrow columns: the shape of an account's tables, and how readings fill them.

Numbers are integers, scaled by their decimals: they pack to half of what floats take, and add up without rounding.
DuckDB takes columns 50 times faster than rows (23–45 k polls/s against 300 with `executemany`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from agent.wire import Aggregate, Batch, Pool, Reading
from backend.store import told
from backend.store.metrics import BOARD_DECIMALS, BOARD_METRICS, METRICS, Quantity

Kind = Literal["readings", "boards", "told", "rollup_1h"]
"""The tables of an account that are sealed day by day."""

_TIME: Final = pa.timestamp("us", tz="UTC")
_FROM_STATE: Final = {name for name in METRICS if name.startswith("is_") and name != "is_meant_to_mine"}
_STORED: Final = {name: metric for name, metric in METRICS.items() if name not in _FROM_STATE}
_WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")
_PLAIN: Final = (*(name for name in _STORED if name in Reading.model_fields), *_WORDS)
_OF_PLAIN: Final = attrgetter(*_PLAIN)
"""What stands in a reading as it is stored, all of it in one go: that takes a third of one after the other."""
_OF_BOARD: Final = attrgetter(*BOARD_DECIMALS)
_POOLS: Final = TypeAdapter(tuple[Pool, ...])


def _sql_type(metric: Quantity) -> str:
    if metric.type == "flag":
        return "BOOLEAN"
    return "INTEGER" if metric.high * 10**metric.decimals < 2**31 else "BIGINT"


_NOT_ROLLED: Final = frozenset({"read_ms", "last_share_age_s"})
_MEANS_ONLY: Final = frozenset({"expected_ths", "efficiency_j_per_th"})
"""Of both it is asked too rarely to be worth the space (docs/adr/0014): the rest is read from readings."""


def _parts(metric: Quantity) -> tuple[str, ...]:
    if metric.name in _NOT_ROLLED:
        return ()
    if metric.type == "flag" or metric.name in _MEANS_ONLY:
        return ("n", "sum")
    return ("n", "sum", "min", "max", "p95") if metric.name == "chip_temp_c" else ("n", "sum", "min", "max")


PARTS: Final = {name: _parts(metric) for name, metric in METRICS.items()}
"""What a rollup keeps of each metric, as columns `<metric>_<part>`; it has `energy_j` besides."""
_OF_ROLLUP: Final = ("energy_j", *(f"{name}_{part}" for name, parts in PARTS.items() for part in parts))

TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS readings (
        written BIGINT NOT NULL, time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL,
        state VARCHAR NOT NULL,
        {", ".join(f"{name} {_sql_type(metric)}" for name, metric in _STORED.items())},
        {", ".join(f"{name} VARCHAR" for name in _WORDS)},
        fans_rpm INTEGER[], fault_codes VARCHAR[], pools VARCHAR, has_boards BOOLEAN NOT NULL
    )""",
    f"""CREATE TABLE IF NOT EXISTS boards (
        written BIGINT NOT NULL, time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL,
        index UTINYINT NOT NULL,
        {", ".join(f"{name} {_sql_type(metric)}" for name, metric in BOARD_METRICS.items())}
    )""",
    f"""CREATE TABLE IF NOT EXISTS told (
        written BIGINT NOT NULL, time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, make VARCHAR, model VARCHAR,
        {", ".join(f"{name} BIGINT" for name in told.FIELDS)}
    )""",
    f"""CREATE TABLE IF NOT EXISTS rollup_1h (
        time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL,
        {", ".join(f"{name} BIGINT" for name in _OF_ROLLUP)}
    )""",
    "CREATE TABLE IF NOT EXISTS touched (hour TIMESTAMP PRIMARY KEY, written BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS latest (
        machine VARCHAR PRIMARY KEY, site VARCHAR NOT NULL, time TIMESTAMP NOT NULL, reading VARCHAR NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS batches (id UUID PRIMARY KEY, received_at TIMESTAMP NOT NULL)",
    "CREATE TABLE IF NOT EXISTS windows (data_class VARCHAR PRIMARY KEY, window_us BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS parts (
        name VARCHAR PRIMARY KEY, kind VARCHAR NOT NULL, day DATE NOT NULL, rows BIGINT NOT NULL,
        bytes BIGINT NOT NULL, first TIMESTAMP NOT NULL, last TIMESTAMP NOT NULL
    )""",
)
"""Times are UTC. `written` counts commits. `boards` hang on `readings` by machine and time; `latest` keeps each
machine's newest whole; `told` are sites' totals; `touched` are the hours whose rollups do not hold; `parts` are the
sealed files that count."""

COLUMNS: Final[dict[Kind, str]] = {
    "readings": "time, site, machine, state, "
    + ", ".join((*_STORED, *_WORDS, "fans_rpm", "fault_codes", "pools", "has_boards")),
    "boards": f"time, site, machine, index, {', '.join(BOARD_DECIMALS)}",
    "told": ", ".join(("time, site, make, model", *told.FIELDS)),
    "rollup_1h": ", ".join(("time, site, machine", *_OF_ROLLUP)),
}
"""What is sealed of a table's row."""


def expression(metric: str) -> str:
    """SQL that gives a metric, scaled, from a row of `readings`. Raises `KeyError` for one that there is not."""
    if metric in _FROM_STATE:
        state = metric.removeprefix("is_")
        return "(state <> 'unreachable')::INTEGER" if state == "reachable" else f"(state = '{state}')::INTEGER"
    return f"{metric}::INTEGER" if _STORED[metric].type == "flag" else metric


def readings(batches: Sequence[Batch]) -> pa.Table:
    """One row a reading, for the table `readings` (without `written`)."""
    rows = [row for batch in batches for row in batch.readings]
    plain = dict(zip(_PLAIN, zip(*map(_OF_PLAIN, rows), strict=True), strict=True)) if rows else {}
    columns: dict[str, pa.Array[Any]] = {
        "time": _times([row.time for row in rows]),
        "site": _strings([batch.site for batch in batches for _ in batch.readings]),
        "machine": _strings([row.machine for row in rows]),
        "state": _strings([row.state.value for row in rows]),
    }
    for name, metric in _STORED.items():
        values: Sequence[Any] = plain.get(name, ()) if name in _PLAIN else [metric.of(row) for row in rows]
        columns[name] = pa.array(values, pa.bool_()) if metric.type == "flag" else _scaled(values, metric.decimals)
    for name in _WORDS:
        columns[name] = _strings(plain.get(name, ()))
    columns["fans_rpm"] = pa.array([row.fans_rpm for row in rows], pa.list_(pa.int32()))
    columns["fault_codes"] = pa.array([row.fault_codes for row in rows], pa.list_(pa.string()))
    columns["pools"] = _strings([_pools(row.pools) for row in rows])
    columns["has_boards"] = pa.array([row.boards is not None for row in rows], pa.bool_())
    return pa.table(columns)


def boards(batches: Sequence[Batch]) -> pa.Table:
    """One row a board, for the table `boards` (without `written`)."""
    rows = [
        (batch.site, reading, board)
        for batch in batches
        for reading in batch.readings
        for board in reading.boards or ()
    ]
    numbers = zip(*(_OF_BOARD(board) for _, _, board in rows), strict=True) if rows else [()] * len(BOARD_DECIMALS)
    columns: dict[str, pa.Array[Any]] = {
        "time": _times([reading.time for _, reading, _ in rows]),
        "site": _strings([site for site, _, _ in rows]),
        "machine": _strings([reading.machine for _, reading, _ in rows]),
        "index": pa.array([board.index for _, _, board in rows], pa.uint8()),
    }
    for (name, decimals), values in zip(BOARD_DECIMALS.items(), numbers, strict=True):
        columns[name] = _scaled(values, decimals)
    return pa.table(columns)


def newest(batches: Iterable[Batch]) -> pa.Table:
    """One row a machine, for the table `latest`; of equal times the first stays."""
    newest_of: dict[str, tuple[str, Reading]] = {}
    for batch in batches:
        for reading in batch.readings:
            known = newest_of.get(reading.machine)
            if known is None or reading.time > known[1].time:
                newest_of[reading.machine] = (batch.site, reading)
    rows = list(newest_of.values())
    return pa.table(
        {
            "machine": _strings([row.machine for _, row in rows]),
            "site": _strings([site for site, _ in rows]),
            "time": _times([row.time for _, row in rows]),
            "reading": _strings([row.model_dump_json(exclude_none=True) for _, row in rows]),
        }
    )


def totals(rows: Sequence[tuple[str, Aggregate]]) -> pa.Table:
    """One row a site's total, for the table `told` (without `written`)."""
    columns: dict[str, pa.Array[Any]] = {
        "time": _times([total.time for _, total in rows]),
        "site": _strings([site for site, _ in rows]),
        "make": _strings([total.make for _, total in rows]),
        "model": _strings([total.model for _, total in rows]),
    }
    values = [told.values(total) for _, total in rows]
    columns |= {name: pa.array([row[name] for row in values], pa.int64()) for name in told.FIELDS}
    return pa.table(columns)


def _scaled(values: Sequence[Any], decimals: int) -> pa.Array[Any]:
    if decimals == 0:
        return pa.array(values, pa.int64())
    numbers = np.array(values, dtype=np.float64)  # None becomes NaN
    missing = np.isnan(numbers)
    numbers[missing] = 0
    scaled: pa.Array[Any] = pa.array(np.rint(numbers * 10**decimals).astype(np.int64), mask=missing)
    return scaled


def _strings(values: Sequence[str | None]) -> pa.Array[Any]:
    return pa.array(values, pa.string())


def _times(values: Sequence[datetime]) -> pa.Array[Any]:
    return pa.array(values, _TIME).cast(pa.timestamp("us"))


def _pools(pools: tuple[Pool, ...] | None) -> str | None:
    if pools is None:
        return None
    return _POOLS.dump_json(pools, exclude_none=True).decode()
