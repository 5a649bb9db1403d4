"""`GET /v1/series` and `GET /v1/metrics`: numbers over time, and which there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, RootModel, StringConstraints

from agent.wire import MachineId
from backend.api.moments import Duration, Moment
from backend.api.problems import Problem
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.registry import sites
from backend.store.metrics import BOARD_METRICS, METRICS, Quantity, Type
from backend.store.protocol import Aggregate, Series, SeriesQuery, TooManyPoints

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN: Final = timedelta(hours=24)
_STEPS: Final = 500  # about as many as a chart has pixels to show
_NICE_STEPS_S: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)


def _several(value: Any) -> Any:
    """`a,b` as well as `machine=a&machine=b`."""
    parts = value if isinstance(value, list) else [value]
    return [name for part in parts for name in (part.split(",") if isinstance(part, str) else [part]) if name]


Machines = Annotated[
    tuple[Annotated[str, StringConstraints(pattern="^mnr-[0-9a-z]{16}$")], ...],
    Field(max_length=2_000),
    BeforeValidator(_several),
]


class Parameters(Query):
    """One metric, from (included) to (excluded), of chosen machines, a site or the whole account."""

    metric: str
    start: Annotated[Moment | None, Field(alias="from")] = None  # default: 24 h before `to`
    end: Annotated[Moment | None, Field(alias="to")] = None  # default: now
    step: Duration | None = None  # default: one that gives about 500 points
    machine: Machines = ()  # several: repeated, or with commas
    site: str | None = None  # id or name
    aggregate: Aggregate = "mean"  # within a step of one machine
    across: Aggregate | None = None  # one series over the machines instead of one each
    format: Literal["series", "rows"] = "series"


class OneSeries(BaseModel):
    """`points` are [milliseconds since 1970, value], oldest first; a step without data is absent."""

    machine: str | None  # absent: over machines
    points: list[tuple[int, float]]


class SeriesReply(BaseModel):
    """The answer in `format=series`."""

    metric: str
    unit: str
    step_s: float
    series: list[OneSeries]


class Row(BaseModel):
    """One point in `format=rows`."""

    time: datetime
    machine: str | None
    value: float


class Rows(RootModel[list[Row]]):
    """The answer in `format=rows`: flat, ordered by machine and time."""


class SeriesOrRows(RootModel[SeriesReply | Rows]):
    """As `format` says."""


class MetricReply(BaseModel):
    """One number of the catalogue. Stored is a whole number: the value times 10 to the power of `decimals`."""

    name: str
    unit: str
    meaning: str
    type: Type
    low: float
    high: float
    decimals: int


class MetricsReply(BaseModel):
    """The catalogue: what a machine has, which can be asked for as a series, and what each of its boards has."""

    metrics: list[MetricReply]
    boards: list[MetricReply]


async def answered(call: Call[Parameters]) -> SeriesReply | Rows:
    """Numbers over time."""
    query = await _question(call)
    metric = METRICS[query.metric]
    try:
        found = await call.services.store.series(call.account, query)
    except TooManyPoints as error:
        raise _too_many(query) from error
    if call.query.format == "rows":
        return _rows(found)
    return SeriesReply(
        metric=metric.name,
        unit=metric.unit,
        step_s=query.step.total_seconds(),
        series=[OneSeries(machine=one.machine, points=[(_ms(at), v) for at, v in one.points]) for one in found],
    )


async def catalogue(_call: Call[Query]) -> MetricsReply:
    """The numbers that there are."""
    return MetricsReply(metrics=_described(METRICS.values()), boards=_described(BOARD_METRICS.values()))


def _described(quantities: Iterable[Quantity]) -> list[MetricReply]:
    names = MetricReply.model_fields
    return [MetricReply.model_validate({name: getattr(one, name) for name in names}) for one in quantities]


async def _question(call: Call[Parameters]) -> SeriesQuery:
    asked = call.query
    if asked.metric not in METRICS:
        raise Problem(400, f"metric: there is none of this name; there are {', '.join(METRICS)}", kind="query")
    end = asked.end or call.now
    try:
        start = asked.start or end - _SPAN
    except OverflowError as error:
        raise Problem(400, "to: there is no such time", kind="query") from error
    if start >= end:
        raise Problem(400, "from: it has to be before to", kind="query")
    site = None
    if asked.site is not None:
        async with call.services.database.read() as session:
            site = SiteId((await sites.find(session, call.account, asked.site)).id)
    query = SeriesQuery(
        metric=asked.metric,
        start=start,
        end=end,
        step=asked.step or nice_step(end - start),
        aggregate=asked.aggregate,
        across=asked.across,
        site=site,
        machines=tuple(MachineId(machine) for machine in asked.machine),
        max_points=call.services.settings.limits.series_points,
    )
    if (end - start) / query.step > query.max_points:
        raise _too_many(query)
    return query


def nice_step(span: timedelta) -> timedelta:
    """The shortest step of a round length that makes no more than about 500 points of a span."""
    for step_s in _NICE_STEPS_S:
        if span <= _STEPS * timedelta(seconds=step_s):
            return timedelta(seconds=step_s)
    days = -(-span // (_STEPS * timedelta(days=1)))
    return timedelta(days=days)


def _rows(found: Sequence[Series]) -> Rows:
    return Rows([Row(time=at, machine=one.machine, value=value) for one in found for at, value in one.points])


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _too_many(query: SeriesQuery) -> Problem:
    return Problem(
        422,
        f"more than {query.max_points} points: ask for less time, fewer machines or a longer step",
        kind="too-many-points",
        max_points=query.max_points,
        step_s=query.step.total_seconds(),
    )
