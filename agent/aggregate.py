"""From the readings of a round to the totals of a site and of its models, for sites that tell no more.

- Of fewer than 5 machines nothing is told, neither of a group nor of one number that only so few of them gave.
- What is told cannot be subtracted to fewer: where the site's total less the told groups would leave 1 to 4 machines,
  the smallest of those groups is not told either. That holds for each number by itself.
- Percentiles lie between two machines' values (linear interpolation); the least and the most are not told.

A round is told when it is over; one that was broken off by a stop is not, because it would be another site's total.
What a machine that comes or goes adds or takes away between two rounds is not hidden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from agent.wire import FEWEST, Aggregate, Reading, Spread, State

_COMPLETE_AFTER: Final = 1.5
"""Intervals after a round's time: a machine is asked up to half of one later, and its turn takes less than one."""
_MOST_ROUNDS: Final = 16
"""Rounds that are gathered at a time: a clock that is set makes new ones."""


class Group(NamedTuple):
    """Machines of one model; the whole site is `Group(None, None)`."""

    make: str | None
    model: str | None


SITE: Final = Group(None, None)

_NUMBERS: Final[Mapping[str, Callable[[Reading], float | None]]] = {
    "hashrate_ths": lambda reading: reading.hashrate_ths,
    "power_w": lambda reading: reading.power_w,
    "efficiency_j_per_th": lambda reading: reading.efficiency_j_per_th,
    "chip_temp_c": lambda reading: reading.chip_temp_c,
    "inlet_temp_c": lambda reading: reading.inlet_temp_c,
}
_ADDS_UP: Final = frozenset({"hashrate_ths", "power_w"})


class Aggregator:
    """Gathers readings by round; of a machine that is told twice in a round the last counts."""

    def __init__(self, interval_s: float) -> None:
        self._complete_after = timedelta(seconds=_COMPLETE_AFTER * interval_s)
        self._rounds: dict[datetime, dict[str, Reading]] = {}

    def add(self, reading: Reading) -> None:
        """Keep a reading until its round is over."""
        self._rounds.setdefault(reading.time, {})[reading.machine] = reading
        if len(self._rounds) > _MOST_ROUNDS:
            del self._rounds[min(self._rounds)]

    def over(self, now: datetime) -> list[Aggregate]:
        """The totals of the rounds that are over, each once, in their order."""
        ended = sorted(time for time in self._rounds if now - time >= self._complete_after)
        return [total for time in ended for total in totals(time, self._rounds.pop(time).values())]


def totals(time: datetime, readings: Iterable[Reading]) -> list[Aggregate]:
    """What may be told of one round: the site first, then its models; nothing of a site of fewer than 5."""
    groups: dict[Group, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(Group(reading.make, reading.model), []).append(reading)
    site = [reading for group in groups.values() for reading in group]
    if len(site) < FEWEST:
        return []
    groups.pop(SITE, None)  # machines that never said what they are: only the site's total has them
    told = tellable({group: len(machines) for group, machines in groups.items()}, len(site))
    values: dict[Group, dict[str, Spread]] = {group: {} for group in (SITE, *told)}
    for name, number in _NUMBERS.items():
        numbers = {group: _known(groups[group], number) for group in told}
        of_site = _known(site, number)
        for group in tellable({group: len(found) for group, found in numbers.items()}, len(of_site)):
            values[group][name] = _spread(numbers[group], adds_up=name in _ADDS_UP)
        if len(of_site) >= FEWEST:
            values[SITE][name] = _spread(of_site, adds_up=name in _ADDS_UP)
    return [
        _aggregate(time, group, site if group == SITE else groups[group], spreads) for group, spreads in values.items()
    ]


def tellable(sizes: Mapping[Group, int], whole: int) -> list[Group]:
    """The groups that can be told of beside the whole, so that no difference is of 1 to 4 machines; largest first."""
    told = sorted(
        (group for group, size in sizes.items() if size >= FEWEST), key=lambda group: (-sizes[group], str(group))
    )
    while told and 0 < whole - sum(sizes[group] for group in told) < FEWEST:
        told.pop()
    return told


def _known(machines: Iterable[Reading], number: Callable[[Reading], float | None]) -> list[float]:
    return sorted(value for reading in machines if (value := number(reading)) is not None)


def _spread(values: list[float], *, adds_up: bool) -> Spread:
    p10, p50, p90 = (round(_percentile(values, share), 3) for share in (0.1, 0.5, 0.9))
    return Spread(machines=len(values), total=round(sum(values), 3) if adds_up else None, p10=p10, p50=p50, p90=p90)


def _percentile(values: list[float], share: float) -> float:
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def _aggregate(time: datetime, group: Group, machines: list[Reading], spreads: Mapping[str, Spread]) -> Aggregate:
    states = Counter(reading.state for reading in machines)
    return Aggregate(
        time=time,
        make=group.make,
        model=group.model,
        machines=len(machines),
        hashing=states[State.HASHING],
        idle=states[State.IDLE],
        paused=states[State.PAUSED],
        unreachable=states[State.UNREACHABLE],
        fault=states[State.FAULT],
        **spreads,
    )
