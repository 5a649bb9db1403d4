"""Which data answers which steps of a question: the coarsest grain that serves, raw points where it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from backend.store.influx.rollup import STEPS_US, Step
from backend.store.influx.schema import HOUR_US
from backend.store.influx.series import PARTS, TOTALS, Segment, first_step_us, step_us
from backend.store.influx.times import microseconds
from backend.store.metrics import METRICS
from backend.store.protocol import SeriesQuery

_ROWS_AT_ONCE: Final = 288
"""Rollups of each machine that are put together at once: a day of 5 minutes, twelve days of hours."""


@dataclass(frozen=True, slots=True)
class Data:
    """What there is of an account now."""

    raw: tuple[str, ...]  # buckets, the one written to first
    raw_from_us: int  # older points are past their window
    rolled: Mapping[Step, tuple[str, ...]]
    rolled_from_us: int
    stale_hours_us: Collection[int]
    end_us: int  # there is nothing from then on


def grain(query: SeriesQuery) -> Step | None:
    """The coarsest rollup that a query's steps and aggregates can be made of; None when there is none."""
    parts = PARTS.get(query.aggregate)
    if parts is None or query.across == "last":
        return None
    if ("min" in parts or "max" in parts) and METRICS[query.metric].type == "flag":
        return None
    return coarsest(step_us(query))


def coarsest(length_us: int) -> Step | None:
    """The coarsest grain that steps of a length are made of; None when none is."""
    fitting = [step for step, of_step in STEPS_US.items() if length_us % of_step == 0]
    return fitting[-1] if fitting else None


def segments(query: SeriesQuery, data: Data) -> Iterator[Segment]:
    """Segments of the query, oldest first; nothing past its window is in any."""
    start_us, end_us, length = first_step_us(query), microseconds(query.end), step_us(query)
    step = grain(query)
    if step is None:
        yield from _clipped(Segment("points", data.raw, start_us, end_us), data.raw_from_us)
        return
    has_totals = length == STEPS_US[step] and not query.machines and (query.aggregate, query.across) in TOTALS
    for run in runs(start_us, end_us, length, data):
        if run.is_of_points:
            yield from _clipped(Segment("points", data.raw, run.start_us, run.end_us), data.raw_from_us)
        elif has_totals:
            yield from _clipped(Segment("totals", data.rolled[step], run.start_us, run.end_us), data.rolled_from_us)
        else:
            piece_us = max(_ROWS_AT_ONCE * STEPS_US[step] // length, 1) * length
            first_us = max(run.start_us, data.rolled_from_us)
            for from_us in range(first_us // length * length, min(run.end_us, data.end_us), piece_us):
                to_us = min(from_us + piece_us, run.end_us)
                yield Segment("rollups", data.rolled[step], max(from_us, first_us), to_us)


@dataclass(frozen=True, slots=True)
class Run:
    """Steps that follow each other and are answered from the same data."""

    is_of_points: bool
    start_us: int
    end_us: int


def runs(start_us: int, end_us: int, length_us: int, data: Data) -> Iterator[Run]:
    """What answers which steps: the points, where a rollup is stale or a step not whole, else the rollups.

    What the raw window has left, or begun to, is not rolled up anew: there the rollups are all there is.
    """
    stale = (hour_us for hour_us in data.stale_hours_us if hour_us >= data.raw_from_us)
    spans = [_whole_steps(hour_us, hour_us + HOUR_US, length_us) for hour_us in stale]
    for edge_us in (start_us, end_us):
        if edge_us % length_us and edge_us >= data.raw_from_us:
            spans.append(_whole_steps(edge_us, edge_us + 1, length_us))
    at_us = start_us
    for span in sorted(spans):
        from_us, to_us = max(span[0], at_us), min(span[1], end_us)
        if from_us >= to_us:
            continue
        if at_us < from_us:
            yield Run(False, at_us, from_us)
        yield Run(True, from_us, to_us)
        at_us = to_us
    if at_us < end_us:
        yield Run(False, at_us, end_us)


def _whole_steps(start_us: int, end_us: int, length_us: int) -> tuple[int, int]:
    return start_us // length_us * length_us, -(-end_us // length_us) * length_us


def _clipped(segment: Segment, from_us: int) -> Iterator[Segment]:
    start_us = max(segment.start_us, from_us)
    if start_us < segment.end_us:
        yield replace(segment, start_us=start_us)
