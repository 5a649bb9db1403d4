"""Rollups: what each machine did in an hour, always worked out of its readings.

Nothing is ever added to a rollup: an hour that got readings is `touched`, questions then go to its readings, until
the hour is over and worked out anew. So retries and late readings cannot spoil it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import duckdb

from backend.store.columns import PARTS, expression
from backend.store.hot import HOUR, HotFile, naive
from backend.store.metrics import METRICS
from backend.store.protocol import GAP

_GAP_US: Final = GAP // timedelta(microseconds=1)
_POWER_SCALE: Final = 10 ** METRICS["power_w"].decimals
_SQL: Final = {
    "n": "count({})",
    "sum": "TRY_CAST(sum({}) AS BIGINT)",
    "min": "min({})",
    "max": "max({})",
    "p95": "quantile_disc({}, 0.95)",
}
_OF_READINGS: Final = ", ".join(
    f"{_SQL[part].format(expression(name))} AS {name}_{part}" for name, parts in PARTS.items() for part in parts
)
NEEDED: Final = "time, site, machine, state, " + ", ".join(
    name for name in METRICS if not name.startswith("is_") or name == "is_meant_to_mine"
)
"""Columns of `readings` that rollups are made of."""


def joules(power: str = "power_w", *, of: str = "machine", scale: int = _POWER_SCALE) -> str:
    """SQL of what a row accounts for: its power, since the row before it of the same machine (or site)."""
    since_us = f"epoch_us(time) - epoch_us(lag(time) OVER (PARTITION BY {of} ORDER BY time))"
    return f"CASE WHEN {since_us} <= {_GAP_US} THEN {power} * ({since_us}) / {scale * 1_000_000} END"


def rolled(source: str, first: datetime) -> str:
    """SQL of the rollups of readings from `first` on; the source has those of `GAP` before, too."""
    return f"""SELECT date_trunc('hour', time) AS time, site, machine, sum(joules)::BIGINT AS energy_j, {_OF_READINGS}
        FROM (SELECT *, {joules()} AS joules FROM {source}) WHERE time >= TIMESTAMP '{naive(first)}'
        GROUP BY 1, 2, 3"""  # noqa: S608


def roll(file: HotFile, *, now: datetime) -> int:
    """Work out the touched hours that are over, of days that are not sealed; how many there were."""
    with file.reading() as cursor:
        hours = _due(cursor, now)
    for hour, written in hours:
        with file.writing() as cursor:
            _replace(file, cursor, hour)
            cursor.execute("DELETE FROM touched WHERE hour = ? AND written <= ?", [naive(hour), written])
    return len(hours)


def _due(cursor: duckdb.DuckDBPyConnection, now: datetime) -> Sequence[tuple[datetime, int]]:
    rows = cursor.execute(
        "SELECT hour, written FROM touched WHERE hour <= ? AND NOT EXISTS"
        " (FROM parts WHERE kind = 'rollup_1h' AND day = hour::DATE) ORDER BY hour",
        [naive(now - HOUR)],
    ).fetchall()
    return [(row[0].replace(tzinfo=now.tzinfo), row[1]) for row in rows]


def _replace(file: HotFile, cursor: duckdb.DuckDBPyConnection, hour: datetime) -> None:
    """All writes wait meanwhile, so that nothing can come into the hour unseen."""
    since, until = hour - GAP, hour + HOUR
    where = f"time >= TIMESTAMP '{naive(since)}' AND time < TIMESTAMP '{naive(until)}'"
    source = file.source(cursor, "readings", NEEDED, where, since=since, until=until)
    cursor.execute("DELETE FROM rollup_1h WHERE time >= ? AND time < ?", [naive(hour), naive(until)])
    cursor.execute(f"INSERT INTO rollup_1h BY NAME {rolled(source, hour)}")
