"""Answers to `SeriesQuery` from segments of time, each of which one grain of data answers.

Three ways, the cheapest that gives the exact answer: the server totals over the machines; or it gives each machine's
parts (sum, count, least, greatest), which add up over buckets; or it gives the points themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Final, Literal

from agent.wire import MachineId
from backend.ids import AccountId
from backend.store.influx.client import Client, Table
from backend.store.influx.errors import AnswerTooLarge
from backend.store.influx.lineprotocol import microseconds, moment
from backend.store.influx.queries import Across, Column, Function, Select, Tags
from backend.store.influx.schema import METRIC_DECIMALS
from backend.store.protocol import Aggregate, Series, SeriesQuery, TooManyPoints

_BYTES_A_POINT: Final = 100
_BYTES_BESIDES: Final = 4 << 20
_MOST_BYTES: Final = 128 << 20
"""Of parts that are put together here."""

Part = Literal["sum", "count", "min", "max"]
Points = dict[int, float]
"""Step → value."""

PARTS: Final[dict[Aggregate, tuple[Part, ...]]] = {
    "mean": ("sum", "count"),
    "sum": ("sum",),
    "min": ("min",),
    "max": ("max",),
}
_TOTALS: Final[dict[Aggregate, Function]] = {"mean": "mean", "min": "min", "max": "max", "sum": "sum"}
_JOIN: Final[dict[Part, Callable[[Any, Any], Any]]] = {
    "sum": lambda one, other: one + other,
    "count": lambda one, other: one + other,
    "min": min,
    "max": max,
}
_OF_VALUES: Final[dict[Aggregate, Callable[[Sequence[float]], float]]] = {
    "mean": fmean,
    "sum": sum,
    "min": min,
    "max": max,
    "last": lambda values: values[-1],
}


@dataclass(frozen=True, slots=True)
class Segment:
    """Whole steps of a question, and where their answer is."""

    measurement: Literal["machine", "rollup"]
    buckets: tuple[str, ...]  # the one written to first
    start_us: int
    end_us: int


async def answer(client: Client, account: AccountId, query: SeriesQuery, segments: Iterable[Segment]) -> list[Series]:
    """Put the answers of segments (earlier ones first) together. Raises `TooManyPoints`."""
    found: defaultdict[str | None, Points] = defaultdict(dict)
    room = query.max_points
    for segment in segments:
        try:
            of_segment = await _Question(client, account, query, segment).answer()
        except AnswerTooLarge as error:
            raise _too_many(query) from error
        room -= sum(len(points) for points in of_segment.values())
        if room < 0:
            raise _too_many(query)
        for machine, points in of_segment.items():
            found[machine].update(points)
    scale = 10 ** METRIC_DECIMALS[query.metric]
    return [
        Series(
            machine=None if machine is None else MachineId(machine),
            points=tuple((moment(step_us), points[step_us] / scale) for step_us in sorted(points)),
        )
        for machine, points in sorted(found.items(), key=lambda item: item[0] or "")
        if points
    ]


def _too_many(query: SeriesQuery) -> TooManyPoints:
    return TooManyPoints(f"the answer has more than {query.max_points} points")


@dataclass(frozen=True, slots=True)
class _Question:
    """A query in one segment. Values are as stored: scaled."""

    client: Client
    account: AccountId
    query: SeriesQuery
    segment: Segment

    async def answer(self) -> dict[str | None, Points]:
        """The points of each machine, or under None the total."""
        aggregate, across = self.query.aggregate, self.query.across
        if aggregate not in PARTS or across not in (None, *_TOTALS):
            return await self._from_points()
        if across is not None and len(self.segment.buckets) == 1:
            return await self._totalled(_TOTALS[across])
        of_machines = await self._from_parts()
        if across is not None:
            return {None: _total(of_machines, across)}
        return dict(of_machines.items())

    async def _totalled(self, function: Function) -> dict[str | None, Points]:
        parts = PARTS[self.query.aggregate]
        if parts == ("sum", "count"):
            column = self._mean()
        else:
            (part,) = parts
            column = self._column(part)
        (tables,) = await self._ask(Across(inner=self._select(column), function=function), self.segment.buckets[0])
        return {None: {row[0]: row[1] for table in tables for row in table.rows}}

    async def _from_parts(self) -> dict[str, Points]:
        parts = PARTS[self.query.aggregate]
        question = self._select(*(self._column(part) for part in parts))
        joined: defaultdict[str, dict[int, list[Any]]] = defaultdict(dict)
        for bucket in self.segment.buckets:
            (tables,) = await self._ask(question, bucket)
            for table in tables:
                _join(joined[table.tags["machine"]], table, parts)
        if parts == ("sum", "count"):
            return {
                machine: {step: total / count for step, (total, count) in of_steps.items()}
                for machine, of_steps in joined.items()
            }
        return {machine: {step: value for step, (value,) in of_steps.items()} for machine, of_steps in joined.items()}

    async def _from_points(self) -> dict[str | None, Points]:
        """From the points themselves: what the newest of several machines said, is in no part."""
        question = replace(self._select(Column(self.query.metric)), step_us=None)
        assert self.segment.measurement == "machine", "the points themselves are raw"
        of_machines: defaultdict[str, Points] = defaultdict(dict)
        for bucket in reversed(self.segment.buckets):  # of a point in two buckets the newer one holds
            (tables,) = await self._ask(question, bucket)
            for table in tables:
                of_machines[table.tags["machine"]].update((time_us, value) for time_us, value in table.rows)
        step_us = self._step_us()
        found: dict[str | None, Points] = {}
        newest: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for machine in sorted(of_machines):
            of_steps: defaultdict[int, list[float]] = defaultdict(list)
            for time_us, value in sorted(of_machines[machine].items()):
                step = time_us // step_us * step_us
                of_steps[step].append(value)
                newest[step][machine] = time_us
            found[machine] = {step: _OF_VALUES[self.query.aggregate](values) for step, values in of_steps.items()}
        if self.query.across is None:
            return found
        by_age = {step: sorted(times, key=lambda machine: times[machine]) for step, times in newest.items()}
        of_values = _OF_VALUES[self.query.across]
        return {None: {step: of_values([found[machine][step] for machine in by_age[step]]) for step in by_age}}

    def _select(self, *columns: Column) -> Select:
        return Select(
            account=self.account,
            measurement=self.segment.measurement,
            columns=columns,
            start_us=self.segment.start_us,
            end_us=self.segment.end_us,
            tags=Tags.where(site=self.query.site, machines=self.query.machines),
            by=("machine",),
            step_us=self._step_us(),
        )

    def _column(self, part: Part) -> Column:
        if self.segment.measurement == "machine":
            return Column(self.query.metric, part)
        return Column(f"{self.query.metric}_{part}", "sum" if part == "count" else part)

    def _mean(self) -> Column:
        if self.segment.measurement == "machine":
            return Column(self.query.metric, "mean")
        return Column(f"{self.query.metric}_sum", per=f"{self.query.metric}_count")

    def _step_us(self) -> int:
        return step_us(self.query)

    async def _ask(self, question: Select | Across, bucket: str) -> list[list[Table]]:
        is_put_together = self.query.across is not None and isinstance(question, Select)
        most = _MOST_BYTES if is_put_together else _BYTES_BESIDES + _BYTES_A_POINT * self.query.max_points
        return await self.client.select(bucket, question, most_bytes=most)


def step_us(query: SeriesQuery) -> int:
    """The step in microseconds. Raises `ValueError` for none."""
    step = round(query.step.total_seconds() * 1_000_000)
    if step <= 0:
        raise ValueError("a step is longer than nothing")
    return step


def first_step_us(query: SeriesQuery) -> int:
    """The start of the step that the query's start is in."""
    step = step_us(query)
    return microseconds(query.start) // step * step


def _join(of_steps: dict[int, list[Any]], table: Table, parts: Sequence[Part]) -> None:
    for step, *values in table.rows:
        known = of_steps.get(step)
        of_steps[step] = (
            values
            if known is None
            else [_JOIN[part](one, other) for part, one, other in zip(parts, known, values, strict=True)]
        )


def _total(of_machines: dict[str, Points], across: Aggregate) -> Points:
    of_steps: defaultdict[int, list[float]] = defaultdict(list)
    for points in of_machines.values():
        for step, value in points.items():
            of_steps[step].append(value)
    return {step: _OF_VALUES[across](values) for step, values in of_steps.items()}
