"""Questions about an account's file, each answered from the coarsest grain that serves.

A question's time is cut into spans: whole steps of a rollup that holds are read from it, the rest from readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

import duckdb

from agent.wire import MachineId
from backend.ids import SiteId
from backend.store.columns import PARTS, expression
from backend.store.hot import EPOCH, HOUR, HotFile, naive, windows
from backend.store.metrics import METRICS
from backend.store.protocol import GAP, Aggregate, Energy, EnergyBy, Points, Series, SeriesQuery, TooManyPoints
from backend.store.rollups import joules

_US: Final = timedelta(microseconds=1)
_OF_VALUES: Final[dict[Aggregate, str]] = {
    "mean": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "sum(value)",
    "last": "arg_max(value, time)",
    "p95": "quantile_disc(value, 0.95)",
    "count": "count(value)",
}
_PARTS: Final[dict[Aggregate, tuple[str, ...]]] = {
    "mean": ("sum", "n"),
    "min": ("min",),
    "max": ("max",),
    "sum": ("sum",),
    "count": ("n",),
    "p95": ("p95",),
}
"""From which parts of a rollup an aggregate follows; the others need the readings."""
_JOIN: Final = {
    "mean": "sum(sum)::DOUBLE / sum(n)",
    "min": "min(min)",
    "max": "max(max)",
    "sum": "sum(sum)",
    "count": "sum(n)",
}
_OF_ONE: Final = {"mean": "sum::DOUBLE / n", "min": "min", "max": "max", "sum": "sum", "count": "n", "p95": "p95"}
"""Of a step that is one hour a machine has one row: nothing to join, which would take most of the time of a month."""
_OF_READINGS: Final = {
    "sum": "sum({})",
    "n": "count({})",
    "min": "min({})",
    "max": "max({})",
    "p95": "quantile_disc({}, 0.95)",
}

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Spans:
    """Which times are read from where."""

    rolled: tuple[Span, ...]
    raw: tuple[Span, ...]


def series(file: HotFile, query: SeriesQuery, *, now: datetime) -> list[Series]:
    """Answer a query; `Store.series` says how."""
    start = first_step(query.start, query.step)
    with file.reading() as cursor:
        spans = _spans(cursor, start, query.end, now, from_rollups=_follows(query))
        of_machines = _steps(file, cursor, query, spans)
        rows = _fetch(cursor, _across(of_machines, query), query)
    if len(rows) > query.max_points:
        raise TooManyPoints(f"the answer has more than {query.max_points} points")
    return [
        Series(machine=None if machine is None else MachineId(machine), points=points)
        for machine, points in _grouped(rows)
    ]


def energy(
    file: HotFile,
    start: datetime,
    end: datetime,
    step: timedelta,
    site: SiteId | None,
    by: EnergyBy,
    *,
    now: datetime,
) -> list[Energy]:
    """Answer `Store.energy`, of machines' readings."""
    first = first_step(start, step)
    whose = "NULL" if by == "all" else by
    of_site = "" if site is None else " AND site = $site"
    selects = []
    with file.reading() as cursor:
        spans = _spans(cursor, first, end, now, from_rollups=step % HOUR == timedelta(0))
        for since, until in spans.raw:
            where = f"{within(since - GAP, until)}"
            source = file.source(
                cursor, "readings", "time, machine, site, power_w", where, since=since - GAP, until=until
            )
            selects.append(
                f"SELECT {whose} AS whose, {step_of(step)} AS step, joules FROM (SELECT *, {joules()} AS joules"  # noqa: S608
                f" FROM {source}) WHERE {within(since, until)}{of_site}"
            )
        for source in _rolled(file, cursor, spans, "time, machine, site, energy_j"):
            selects.append(
                f"SELECT {whose} AS whose, {step_of(step)} AS step, energy_j AS joules"  # noqa: S608
                f" FROM {source} WHERE true{of_site}"
            )
        if not selects:
            return []
        rows = cursor.execute(
            f"SELECT whose, step, sum(joules) / 3.6e6 FROM ({' UNION ALL '.join(selects)})"  # noqa: S608
            " WHERE joules IS NOT NULL GROUP BY ALL ORDER BY ALL",
            {} if site is None else {"site": site},
        ).fetchall()
    return [_energy(by, whose, points) for whose, points in _grouped(rows)]


def _energy(by: EnergyBy, whose: str | None, points: Points) -> Energy:
    if whose is None:
        return Energy(points)
    return Energy(points, site=SiteId(whose)) if by == "site" else Energy(points, machine=MachineId(whose))


def _follows(query: SeriesQuery) -> bool:
    """Whether the answer follows from rollups; otherwise it takes the readings."""
    if query.aggregate not in _PARTS or query.across == "last" or query.step % HOUR:
        return False
    needed = {"n", *_PARTS[query.aggregate]}
    return needed <= set(PARTS[query.metric]) and (query.aggregate != "p95" or query.step == HOUR)


def _spans(
    cursor: duckdb.DuckDBPyConnection, start: datetime, end: datetime, now: datetime, *, from_rollups: bool
) -> Spans:
    kept = windows(cursor)
    raw_from, rolled_from = now - kept["telemetry_raw"], now - kept["telemetry_rollup"]
    begin = max(start, -(-(rolled_from - EPOCH) // HOUR) * HOUR + EPOCH)
    stop = (end - EPOCH) // HOUR * HOUR + EPOCH
    if not from_rollups or begin >= stop:
        return Spans((), _clamped([(start, end)], raw_from))
    rows = cursor.execute(
        "SELECT hour FROM touched WHERE hour > ? AND hour < ? ORDER BY hour", [naive(begin - HOUR), naive(stop)]
    ).fetchall()
    touched = [row[0].replace(tzinfo=EPOCH.tzinfo) for row in rows]
    rolled, raw, at = [], [(start, begin)], begin
    for hour in touched:
        if hour > at:
            rolled.append((at, hour))
        raw.append((max(hour, begin), min(hour + HOUR, stop)))
        at = hour + HOUR
    rolled.append((at, stop))
    raw.append((stop, end))
    return Spans(tuple(span for span in rolled if span[0] < span[1]), _clamped(raw, raw_from))


def _clamped(spans: Sequence[Span], since: datetime) -> tuple[Span, ...]:
    """Not before a time; neighbours as one."""
    found: list[Span] = []
    for start, end in spans:
        start = max(start, since)
        if start >= end:
            continue
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return tuple(found)


def _steps(file: HotFile, cursor: duckdb.DuckDBPyConnection, query: SeriesQuery, spans: Spans) -> str:
    """SQL of machine, step, value (scaled), time: one row a machine and step."""
    value, step = expression(query.metric), step_of(query.step)
    narrowed = _narrowed(query)
    raw = (
        " UNION ALL ".join(
            f"SELECT * FROM {source}"  # noqa: S608
            for source in (
                file.source(
                    cursor,
                    "readings",
                    f"machine, time, {value} AS value",
                    f"{within(since, until)} AND {value} IS NOT NULL{narrowed}",
                    since=since,
                    until=until,
                )
                for since, until in spans.raw
            )
        )
        or "SELECT NULL AS machine, NULL::TIMESTAMP AS time, NULL::INTEGER AS value WHERE false"
    )
    if not spans.rolled:
        return (
            f"SELECT machine, {step} AS step, {_OF_VALUES[query.aggregate]} AS value, max(time) AS time"  # noqa: S608
            f" FROM ({raw}) GROUP BY ALL"
        )
    parts = _PARTS[query.aggregate]
    of_raw = ", ".join(f"{_OF_READINGS[part].format('value')} AS {part}" for part in parts)
    of_rollup = ", ".join(f"{query.metric}_{part} AS {part}" for part in parts)
    rolled = " UNION ALL ".join(
        f"SELECT machine, {step} AS step, {of_rollup} FROM {source} WHERE {query.metric}_n > 0{narrowed}"  # noqa: S608
        for source in _rolled(
            file,
            cursor,
            spans,
            ", ".join(
                dict.fromkeys(
                    ["time", "machine", "site", f"{query.metric}_n", *(f"{query.metric}_{part}" for part in parts)]
                )
            ),
        )
    )
    joined, grouped = (_OF_ONE, "") if query.step == HOUR else (_JOIN, " GROUP BY ALL")
    return (
        f"SELECT machine, step, {joined[query.aggregate]} AS value, NULL::TIMESTAMP AS time FROM ({rolled} UNION ALL"  # noqa: S608
        f" SELECT machine, {step} AS step, {of_raw} FROM ({raw}) GROUP BY ALL){grouped}"
    )


def _across(of_machines: str, query: SeriesQuery) -> str:
    scale = 10 ** METRICS[query.metric].decimals if query.aggregate != "count" and query.across != "count" else 1
    if query.across is None:
        return f"SELECT machine, step, value::DOUBLE / {scale} FROM ({of_machines}) ORDER BY machine, step LIMIT $most"  # noqa: S608
    total = _OF_VALUES[query.across]
    return (
        f"SELECT NULL, step, ({total})::DOUBLE / {scale} FROM ({of_machines}) GROUP BY step ORDER BY step LIMIT $most"  # noqa: S608
    )


def _fetch(cursor: duckdb.DuckDBPyConnection, sql: str, query: SeriesQuery) -> list[tuple[Any, ...]]:
    values: dict[str, object] = {"most": query.max_points + 1}
    if query.site is not None:
        values["site"] = query.site
    if query.machines:
        values["machines"] = list(query.machines)
    return cursor.execute(sql, values).fetchall()


def _narrowed(query: SeriesQuery) -> str:
    of_site = "" if query.site is None else " AND site = $site"
    return of_site + (" AND machine IN (SELECT unnest($machines))" if query.machines else "")


def _rolled(file: HotFile, cursor: duckdb.DuckDBPyConnection, spans: Spans, names: str) -> list[str]:
    return [
        file.source(cursor, "rollup_1h", names, within(since, until), since=since, until=until)
        for since, until in spans.rolled
    ]


def _grouped(rows: list[tuple[Any, ...]]) -> list[tuple[str | None, Points]]:
    """Rows of whose, step (µs) and value, ordered: by whose."""
    return [
        (whose, tuple((EPOCH + timedelta(microseconds=at), value) for _, at, value in group))
        for whose, group in groupby(rows, key=lambda row: row[0])
    ]


def within(start: datetime, end: datetime) -> str:
    """SQL of whether a row is of this time."""
    return f"time >= TIMESTAMP '{naive(start)}' AND time < TIMESTAMP '{naive(end)}'"


def step_of(step: timedelta) -> str:
    """SQL of a row's step, µs since 1970."""
    return f"epoch_us(time) // {step // _US} * {step // _US}"


def first_step(start: datetime, step: timedelta) -> datetime:
    """The start of the step that `start` is in. Raises `ValueError` for a step of nothing."""
    if step <= timedelta(0):
        raise ValueError("a step is longer than nothing")
    return (start - EPOCH) // step * step + EPOCH
