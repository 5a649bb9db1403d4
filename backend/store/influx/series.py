"""Answers to `SeriesQuery` from raw points and from rollups.

Raw points are answered the cheapest way that is exact: the server totals over the machines; or it gives each
machine's parts (sum, count, least, greatest), which add up over buckets; or it gives the points themselves. Rollups
are such parts already, and of all machines together there are totals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Final, Literal

from agent.wire import MachineId
from backend.ids import AccountId
from backend.store.influx.client import Client, Table
from backend.store.influx.errors import AnswerTooLarge
from backend.store.influx.queries import Across, Column, Function, Select, Tags
from backend.store.influx.rollup import GONE, MEAN_SCALE, MOVED
from backend.store.influx.schema import METRIC_DECIMALS, Measurement
from backend.store.influx.times import microseconds, moment
from backend.store.protocol import Aggregate, Series, SeriesQuery, TooManyPoints

_BYTES_A_POINT: Final = 100
_BYTES_BESIDES: Final = 4 << 20
_MOST_BYTES: Final = 128 << 20
"""Of parts that are put together here."""

Part = Literal["sum", "count", "min", "max"]
Source = Literal["points", "rollups", "totals"]
Points = dict[int, float]
"""Step → value."""

PARTS: Final[dict[Aggregate, tuple[Part, ...]]] = {
    "mean": ("sum", "count"),
    "sum": ("sum",),
    "min": ("min",),
    "max": ("max",),
    "count": ("count",),
}
"""What an aggregate is made of; one that is not here needs the points themselves."""

TOTALS: Final[dict[tuple[Aggregate, Aggregate], tuple[Part, ...]]] = {
    ("mean", "sum"): ("sum",),
    ("mean", "mean"): ("sum", "count"),
    ("mean", "count"): ("count",),
}
"""What the totals of machines answer: aggregate and across."""

_ON_SERVER: Final[dict[Aggregate, Function]] = {
    "mean": "mean",
    "min": "min",
    "max": "max",
    "sum": "sum",
    "count": "count",
}
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
    "p95": lambda values: sorted(values)[-(-len(values) * 95 // 100) - 1],
    "count": len,
}


@dataclass(frozen=True, slots=True)
class Segment:
    """Whole steps of a question, and where their answer is."""

    of: Source
    buckets: tuple[str, ...]  # the one written to first
    start_us: int
    end_us: int


async def answer(client: Client, account: AccountId, query: SeriesQuery, segments: Iterable[Segment]) -> list[Series]:
    """Put the answers of segments together. Raises `TooManyPoints`."""
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
    scale = 1 if "count" in (query.aggregate, query.across) else 10 ** METRIC_DECIMALS[query.metric]
    return [
        Series(
            machine=None if machine is None else MachineId(machine),
            points=tuple((moment(step_us), points[step_us] / scale) for step_us in sorted(points)),
        )
        for machine, points in sorted(found.items(), key=lambda item: item[0] or "")
        if points
    ]


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


def _too_many(query: SeriesQuery) -> TooManyPoints:
    return TooManyPoints(f"the answer has more than {query.max_points} points")


@dataclass(frozen=True, slots=True)
class _Question:
    """A query in one segment. Values are as stored: scaled."""

    client: Client
    account: AccountId
    query: SeriesQuery
    segment: Segment

    async def answer(self) -> Mapping[str | None, Points]:
        """The points of each machine, or under None the total."""
        aggregate, across = self.query.aggregate, self.query.across
        if self.segment.of == "totals":
            assert across is not None, "totals are over machines"
            total = await self._from_totals(TOTALS[aggregate, across])
            if total is not None:
                return {None: total}
        if self.segment.of == "points":
            if aggregate not in PARTS or across == "last":
                return await self._from_points()
            if across in _ON_SERVER and len(self.segment.buckets) == 1:
                return {None: await self._on_server(_ON_SERVER[aggregate], _ON_SERVER[across])}
        parts = PARTS[aggregate]
        joined = await (self._of_points(parts) if self.segment.of == "points" else self._of_rollups(parts))
        of_machines = {machine: _finished(of_steps, parts) for machine, of_steps in joined.items()}
        if across is None:
            return dict(of_machines.items())
        return {None: _across(of_machines.values(), across)}

    async def _on_server(self, aggregate: Function, across: Function) -> Points:
        inner = self._select("machine", Column(self.query.metric, aggregate))
        (tables,) = await self._ask(Across(inner=inner, function=across), self.segment.buckets[0])
        return {row[0]: row[1] for table in tables for row in table.rows}

    async def _of_points(self, parts: Sequence[Part]) -> dict[str, dict[int, list[Any]]]:
        """The parts of each machine's steps, added up over buckets."""
        question = self._select("machine", *(Column(self.query.metric, part) for part in parts))
        found: defaultdict[str, dict[int, list[Any]]] = defaultdict(dict)
        for bucket in self.segment.buckets:
            (tables,) = await self._ask(question, bucket)
            for table in tables:
                for step, *values in table.rows:
                    _join(found[table.tags["machine"]], step, values, parts)
        return found

    async def _of_rollups(self, parts: Sequence[Part]) -> dict[str, dict[int, list[Any]]]:
        """The parts of each machine's steps, added up over rollups; of one in several buckets the newest holds."""
        columns = [Column(f"{self.query.metric}_{part}") for part in parts]
        question = replace(self._select("rollup", *columns), step_us=None, by=("machine", "site"))
        rows: dict[tuple[str, str, int], list[Any]] = {}
        for bucket in reversed(self.segment.buckets):
            (tables,) = await self._ask(question, bucket)
            for table in tables:
                machine, site = table.tags["machine"], table.tags["site"]
                rows.update(((machine, site, row[0]), row[1:]) for row in table.rows)
        length = step_us(self.query)
        found: defaultdict[str, dict[int, list[Any]]] = defaultdict(dict)
        for (machine, _, time_us), values in rows.items():
            _join(found[machine], time_us // length * length, values, parts)
        return found

    async def _from_totals(self, parts: Sequence[Part]) -> Points | None:
        """From the sites' totals; None where they do not add up: a machine was at two of them, or is erased."""
        columns = [Column(MOVED), Column(GONE), *(Column(f"{self.query.metric}_{part}") for part in parts)]
        question = replace(self._select("total", *columns), step_us=None, by=("site",))
        rows: dict[tuple[str, int], list[Any]] = {}
        for bucket in reversed(self.segment.buckets):
            (tables,) = await self._ask(question, bucket)
            for table in tables:
                rows.update(((table.tags["site"], row[0]), row[1:]) for row in table.rows)
        if any(gone or (moved and self.query.site is None) for moved, gone, *_ in rows.values()):
            return None
        found: dict[int, list[Any]] = {}
        for (_, step), (_, _, *values) in rows.items():
            _join(found, step, values, parts)
        if parts == ("count",):
            return {step: count for step, (count,) in found.items() if count}
        if parts == ("sum",):
            return {step: means / MEAN_SCALE for step, (means,) in found.items()}
        return {step: means / MEAN_SCALE / count for step, (means, count) in found.items() if count}

    async def _from_points(self) -> Mapping[str | None, Points]:
        """From the points themselves: which of several machines spoke last, is in no part."""
        question = replace(self._select("machine", Column(self.query.metric)), step_us=None)
        of_machines: defaultdict[str, Points] = defaultdict(dict)
        for bucket in reversed(self.segment.buckets):  # of a point in two buckets the newer one holds
            (tables,) = await self._ask(question, bucket)
            for table in tables:
                of_machines[table.tags["machine"]].update((time_us, value) for time_us, value in table.rows)
        length = step_us(self.query)
        found: dict[str | None, Points] = {}
        newest: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for machine in sorted(of_machines):
            of_steps: defaultdict[int, list[float]] = defaultdict(list)
            for time_us, value in sorted(of_machines[machine].items()):
                step = time_us // length * length
                of_steps[step].append(value)
                newest[step][machine] = time_us
            found[machine] = {step: _OF_VALUES[self.query.aggregate](values) for step, values in of_steps.items()}
        if self.query.across is None:
            return found
        by_age = {step: sorted(times, key=lambda machine: times[machine]) for step, times in newest.items()}
        of_values = _OF_VALUES[self.query.across]
        return {None: {step: of_values([found[machine][step] for machine in by_age[step]]) for step in by_age}}

    def _select(self, measurement: Measurement, *columns: Column) -> Select:
        return Select(
            account=self.account,
            measurement=measurement,
            columns=columns,
            start_us=self.segment.start_us,
            end_us=self.segment.end_us,
            tags=Tags.where(site=self.query.site, machines=self.query.machines),
            by=("machine",),
            step_us=step_us(self.query),
        )

    async def _ask(self, question: Select | Across, bucket: str) -> list[list[Table]]:
        is_answer = self.segment.of == "points" and (self.query.across is None or isinstance(question, Across))
        most = _BYTES_BESIDES + _BYTES_A_POINT * self.query.max_points if is_answer else _MOST_BYTES
        return await self.client.select(bucket, question, most_bytes=most)


def _join(of_steps: dict[int, list[Any]], step: int, values: list[Any], parts: Sequence[Part]) -> None:
    if None in values:
        return
    known = of_steps.get(step)
    if known is not None:
        values = [_JOIN[part](one, other) for part, one, other in zip(parts, known, values, strict=True)]
    of_steps[step] = values


def _finished(of_steps: Mapping[int, list[Any]], parts: Sequence[Part]) -> Points:
    if parts == ("sum", "count"):
        return {step: total / count for step, (total, count) in of_steps.items()}
    return {step: value for step, (value,) in of_steps.items()}


def _across(of_machines: Iterable[Points], across: Aggregate) -> Points:
    of_steps: defaultdict[int, list[float]] = defaultdict(list)
    for points in of_machines:
        for step, value in points.items():
            of_steps[step].append(value)
    return {step: _OF_VALUES[across](values) for step, values in of_steps.items()}
