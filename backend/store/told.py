"""What a site tells in place of its machines: totals and percentiles of groups of five and more.

Engines keep each total as the whole numbers that `values` gives. Sums over machines (`Store.fleet`, a series with
`across="sum"`, `Store.energy` of all machines) count a site's told totals where there are no readings of its machines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.wire import Aggregate, Spread, State
from backend.ids import SiteId
from backend.store.metrics import METRICS
from backend.store.protocol import Energy, EnergyBy, Series, SeriesQuery

SPREADS: Final = tuple(name for name in Aggregate.model_fields if name in METRICS)
"""Metrics that are told as a total and percentiles."""
COUNTS: Final = ("machines", *(state.value for state in State))
"""How many machines there are, and how many in each state."""
REACHABLE: Final = "reachable"
DECIMALS: Final = 3
"""Of totals and percentiles, as agents round them."""
FIELDS: Final = (
    *COUNTS,
    REACHABLE,
    *(f"{name}_{part}" for name in SPREADS for part in Spread.model_fields),
)
"""What is stored of a total, besides its time, site and group."""
TOTAL_OF: Final[Mapping[str, str]] = {
    "hashrate_ths": "hashrate_ths_total",
    "power_w": "power_w_total",
    "is_reachable": REACHABLE,
    **{f"is_{state.value}": state.value for state in State},
}
"""Metric → the field that is its sum over a site's machines; the other metrics are not told so that they add up."""

POWER: Final = TOTAL_OF["power_w"]

_SCALE: Final = 10**DECIMALS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)


def values(total: Aggregate) -> dict[str, int | None]:
    """`FIELDS` of a total, scaled."""
    found: dict[str, int | None] = {name: getattr(total, name) for name in COUNTS}
    found[REACHABLE] = total.machines - total.unreachable
    for name in SPREADS:
        spread: Spread | None = getattr(total, name)
        for part in Spread.model_fields:
            value = None if spread is None else getattr(spread, part)
            found[f"{name}_{part}"] = None if value is None else round(value * scale(part))
    return found


def total_of(time: datetime, make: str | None, model: str | None, row: Mapping[str, Any]) -> Aggregate:
    """The total whose `values` these are."""
    spreads = {}
    for name in SPREADS:
        if row[f"{name}_machines"] is not None:
            parts = {part: row[f"{name}_{part}"] for part in Spread.model_fields}
            spreads[name] = {part: value / scale(part) for part, value in parts.items() if value is not None}
    counts = {name: row[name] for name in COUNTS}
    return Aggregate.model_validate({"time": time, "make": make, "model": model, **counts, **spreads})


def scale(field: str) -> int:
    """By what a field's number, or a spread's part, is multiplied when it is stored."""
    return _SCALE if field.endswith(("total", "p10", "p50", "p90")) else 1


def field_of(query: SeriesQuery) -> str | None:
    """The field whose mean in a step is a site's part of the answer; None: told totals are no part of it."""
    if query.machines or query.aggregate != "mean" or query.across != "sum":
        return None
    return TOTAL_OF.get(query.metric)


Told = Mapping[SiteId, Mapping[datetime, float]]
"""By site and step: the mean of what it told, or the kWh that follow from it."""


async def joined(
    query: SeriesQuery,
    of_machines: Sequence[Series],
    told: Told,
    ask: Callable[[SeriesQuery], Awaitable[Sequence[Series]]],
) -> Sequence[Series]:
    """The answer with what sites told. In the steps in which a site's machines were heard, they count and not it."""
    if not told:
        return of_machines
    total = {at: value for series in of_machines for at, value in series.points}
    for site, points in told.items():
        own = of_machines if query.site is not None else await ask(replace(query, site=site))
        heard = {at for series in own for at, _ in series.points}
        for at, value in points.items():
            if at not in heard:
                total[at] = total.get(at, 0.0) + value
    return [Series(None, tuple(sorted(total.items())))]


def energy_step(step: timedelta) -> timedelta:
    """The steps in which told energy counts or not: an hour where hours add up to `step`, else that."""
    return step if step % _HOUR else _HOUR


def joined_energy(step: timedelta, of_machines: Sequence[Energy], told: Told, by: EnergyBy) -> Sequence[Energy]:
    """The energy of sites' machines with that of sites which told, both by site and `energy_step`; of each site, or of
    all together.

    In the steps in which anything of a site's machines is known, they count and not it.
    """
    joined = {site: dict(points) for site, points in told.items()}
    for energy in of_machines:
        if energy.site is not None:
            joined.setdefault(energy.site, {}).update(energy.points)
    spent: defaultdict[SiteId | None, defaultdict[datetime, float]] = defaultdict(lambda: defaultdict(float))
    for site, points in joined.items():
        for at, value in points.items():
            spent[site if by == "site" else None][at - (at - _EPOCH) % step] += value
    return [
        Energy(tuple(sorted(points.items())), site=site)
        for site, points in sorted(spent.items(), key=lambda item: item[0] or "")
    ]
