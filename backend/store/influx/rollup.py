"""Rollups of an hour from its raw points: pure, in columns.

Of each machine in each 5 minutes, and in the hour: of every metric the count and the sum of its values, and but for
flags the least and the greatest; energy. Of each site the same steps' totals: of every metric the sum of the machines'
means and how many have one; energy; and how many machines of the step were at another site too, for whom the sites'
totals do not add up.

An hour is always worked out anew from all its points, so a batch that is late or comes twice spoils nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from backend.store.influx import names
from backend.store.influx.schema import HOUR_US, METRIC_DECIMALS
from backend.store.metrics import METRICS
from backend.store.protocol import GAP

Step = Literal["5m", "1h"]
Key = tuple[str, str]
"""Machine and site."""
Numbers = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

STEPS_US: Final[dict[Step, int]] = {"5m": 300_000_000, "1h": HOUR_US}
GAP_US: Final = int(GAP.total_seconds() * 1_000_000)
MEAN_SCALE: Final = 1_000
"""Sums of means keep three digits more than what they are means of."""
ENERGY: Final = "energy_mwh"
"""Milliwatt-hours: what one reading stands for, as a whole number."""
MOVED: Final = "moved"
GONE: Final = "gone"
"""Set while a total may hold a machine that is erased."""

METRIC_NAMES: Final = tuple(METRIC_DECIMALS)
_HAS_BOUNDS: Final = tuple(METRICS[name].type != "flag" for name in METRIC_NAMES)
FIELDS_OF_ROLLUP: Final = (
    ENERGY,
    *(f"{name}_{part}" for name in METRIC_NAMES for part in ("count", "sum")),
    *(f"{name}_{part}" for name, has in zip(METRIC_NAMES, _HAS_BOUNDS, strict=True) if has for part in ("min", "max")),
)
FIELDS_OF_TOTAL: Final = (
    ENERGY,
    MOVED,
    GONE,
    *(f"{name}_{part}" for name in METRIC_NAMES for part in ("sum", "count")),
)
_TOO_LARGE: Final = 2.0**63
"""Absurd values may add up to more than the server's whole numbers hold; such a sum is left out."""
_POWER: Final = METRIC_NAMES.index("power_w")
_MWH_US: Final = 10 ** METRIC_DECIMALS["power_w"] * 3_600_000
"""Scaled watts × microseconds in a milliwatt-hour."""


@dataclass(frozen=True, slots=True)
class Points:
    """A machine's raw points of an hour at a site, oldest first: one row of metrics a time (NaN: missing)."""

    key: Key
    times_us: Whole
    values: Numbers
    spans_us: Numbers
    """The time since the machine's point before, wherever that was; NaN where it is a gap, or there is none."""


@dataclass(slots=True)
class _Groups:
    """Parts of groups of points, a row a group: a machine at a site in a step."""

    keys: list[Key]
    steps_us: list[int]
    count: Numbers
    total: Numbers
    least: Numbers
    greatest: Numbers
    energy: Numbers  # NaN: not known


@dataclass(slots=True)
class _Total:
    """Of a site's machines in a step."""

    means: Numbers = field(default_factory=lambda: np.zeros(len(METRIC_NAMES)))
    count: Numbers = field(default_factory=lambda: np.zeros(len(METRIC_NAMES)))
    energy: float = 0.0
    moved: int = 0

    def fields(self) -> str:
        found = [f"{ENERGY}={round(self.energy)}i,{MOVED}={self.moved}i,{GONE}=0i"]
        rows = zip(METRIC_NAMES, self.count.tolist(), (self.means * MEAN_SCALE).tolist(), strict=True)
        for name, count, means in rows:
            if count:
                found.append(f"{name}_count={count:.0f}i")
                if abs(means) < _TOO_LARGE:
                    found.append(f"{name}_sum={means:.0f}i")
        return ",".join(found)


class Totals:
    """Totals of one hour, gathered from chunks of machines; a machine comes in one chunk with all its sites."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[Step, str, int], _Total] = defaultdict(_Total)

    def add(self, step: Step, groups: _Groups) -> None:
        """Count machines in."""
        sites_of: defaultdict[tuple[str, int], int] = defaultdict(int)
        for (machine, _), step_us in zip(groups.keys, groups.steps_us, strict=True):
            sites_of[machine, step_us] += 1
        has = groups.count > 0
        means = np.divide(groups.total, groups.count, out=np.zeros_like(groups.total), where=has)
        energy = np.nan_to_num(groups.energy).tolist()
        for row, ((machine, site), step_us) in enumerate(zip(groups.keys, groups.steps_us, strict=True)):
            total = self._of[step, site, step_us]
            total.means += means[row]
            total.count += has[row]
            total.energy += energy[row]
            total.moved += sites_of[machine, step_us] > 1

    def lines(self, account: str) -> dict[Step, list[str]]:
        """As line protocol."""
        found: dict[Step, list[str]] = {"5m": [], "1h": []}
        for (step, site, step_us), total in self._of.items():
            found[step].append(f"total,account={account},site={names.tag(site)} {total.fields()} {step_us}")
        return found


def points_of(rows: Mapping[Key, Iterable[Sequence[Any]]], hour_us: int) -> list[Points]:
    """From raw rows (time, then each metric or None) of the hour and of the gap before it."""
    every: defaultdict[str, set[int]] = defaultdict(set)
    in_order = {key: sorted(of_key, key=lambda row: row[0]) for key, of_key in rows.items()}
    for (machine, _), of_key in in_order.items():
        every[machine].update(row[0] for row in of_key)
    before = {machine: np.array(sorted(times), dtype=np.int64) for machine, times in every.items()}
    found = []
    for key in sorted(in_order):
        of_hour = [row for row in in_order[key] if row[0] >= hour_us]
        if of_hour:
            times_us = np.array([row[0] for row in of_hour], dtype=np.int64)
            values = np.array([row[1:] for row in of_hour], dtype=np.float64)
            found.append(Points(key, times_us, values, spans_us(times_us, before[key[0]])))
    return found


def spans_us(times_us: Whole, all_times_us: Whole) -> Numbers:
    """How long before each time the latest of all times was, in order; NaN where it was a gap, or there is none."""
    places = np.searchsorted(all_times_us, times_us)
    spans = (times_us - all_times_us[np.maximum(places - 1, 0)]).astype(np.float64)
    spans[(places == 0) | (spans > GAP_US)] = np.nan
    return spans


def energy_mwh(power: Numbers, spans: Numbers) -> Numbers:
    """Milliwatt-hours of scaled watts over microseconds; NaN where either is not known."""
    found: Numbers = power * spans / _MWH_US
    return found


def of_machines(account: str, points: Sequence[Points], totals: Totals) -> dict[Step, list[str]]:
    """The lines of some machines' rollups of an hour; they are counted into the totals."""
    if not points:
        return {"5m": [], "1h": []}
    found: dict[Step, list[str]] = {}
    for step, length_us in STEPS_US.items():
        groups = _grouped(points, length_us)
        totals.add(step, groups)
        found[step] = list(_lines(account, groups))
    return found


def _grouped(points: Sequence[Points], length_us: int) -> _Groups:
    steps = np.concatenate([one.times_us // length_us * length_us for one in points])
    machines = np.repeat(np.arange(len(points)), [len(one.times_us) for one in points])
    values = np.concatenate([one.values for one in points])
    energy = np.concatenate([energy_mwh(one.values[:, _POWER], one.spans_us) for one in points])
    is_first = np.ones(len(steps), dtype=bool)
    is_first[1:] = (steps[1:] != steps[:-1]) | (machines[1:] != machines[:-1])
    (firsts,) = np.nonzero(is_first)
    missing = np.isnan(values)
    known_energy = np.add.reduceat((~np.isnan(energy)).astype(np.float64), firsts)
    return _Groups(
        keys=[points[machine].key for machine in machines[firsts]],
        steps_us=[int(step) for step in steps[firsts]],
        count=np.add.reduceat((~missing).astype(np.float64), firsts),
        total=np.add.reduceat(np.where(missing, 0, values), firsts),
        least=np.minimum.reduceat(np.where(missing, np.inf, values), firsts),
        greatest=np.maximum.reduceat(np.where(missing, -np.inf, values), firsts),
        energy=np.where(known_energy > 0, np.add.reduceat(np.nan_to_num(energy), firsts), np.nan),
    )


def _lines(account: str, groups: _Groups) -> Iterator[str]:
    columns = list(enumerate(zip(METRIC_NAMES, _HAS_BOUNDS, strict=True)))
    rows = zip(
        groups.keys,
        groups.steps_us,
        groups.count.tolist(),
        groups.total.tolist(),
        groups.least.tolist(),
        groups.greatest.tolist(),
        groups.energy.tolist(),
        strict=True,
    )
    for (machine, site), step_us, count, total, least, greatest, energy in rows:
        fields = [] if np.isnan(energy) else [f"{ENERGY}={round(energy)}i"]
        for column, (name, has_bounds) in columns:
            if count[column]:
                fields.append(f"{name}_count={count[column]:.0f}i")
                if abs(total[column]) < _TOO_LARGE:
                    fields.append(f"{name}_sum={total[column]:.0f}i")
                if has_bounds:
                    fields.append(f"{name}_min={least[column]:.0f}i,{name}_max={greatest[column]:.0f}i")
        tags = f"account={account},machine={names.tag(machine)},site={names.tag(site)}"
        yield f"rollup,{tags} {','.join(fields)} {step_us}"
