"""What is remembered of one machine beside the states of its rules, so that rules can look at more than one reading.

`remembered` is pure: the memory after a reading. Times are seconds since 1970. Only what a restart may not lose is
written (`is_worth_saving`); counters of the miner only grow, so that whatever was read last is enough to go on from.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from agent.wire import Reading, State

HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0
WINDOW_S: Final = 600.0
"""Of shares."""
FEWEST_SHARES: Final = 20
"""Of fewer, a share says nothing of the machine."""

_SPACING_S: Final = 60.0  # between remembered counts of shares
_SLACK_S: Final = 60.0  # reading times are on the poll's grid, uptimes are not
_BUCKET_S: Final = 1_800.0  # of the usual hashrate
_FEWEST_BUCKETS: Final = 2  # of fewer, nobody knows what is usual
_NONE: Final = array("d")


class Usual(NamedTuple):
    """A machine's hashrate over its last 24 hours, in half hours: start, mean and count of each that is over."""

    closed: array[float]
    median_ths: float | None  # of what is closed
    start: float  # of the one that is open
    total_ths: float
    reads: int


class Known(NamedTuple):
    """One machine."""

    make: str | None
    model: str | None
    first_at: float  # its first reading
    seen_at: float  # it answered; or its first reading, when it never did
    at: float  # its last reading
    uptime_s: float | None = None
    uptime_at: float = 0.0
    resets: tuple[float, ...] = ()  # of its uptime, in the last hour
    shares: array[float] = _NONE  # when, accepted, rejected; then the next
    usual: Usual | None = None
    is_declared: bool | None = None  # None: its site declares nothing

    @property
    def rejects_percent(self) -> float | None:
        """Of the shares of the last 10 minutes; None for few."""
        shares = self.shares
        if len(shares) < 6:
            return None
        rejected = shares[-1] - shares[2]
        total = shares[-2] - shares[1] + rejected
        return 100 * rejected / total if total >= FEWEST_SHARES else None

    @property
    def usual_ths(self) -> float | None:
        """The median of its last 24 hours; None while that is not known."""
        return self.usual.median_ths if self.usual is not None else None


def first_known(reading: Reading) -> Known:
    """Of a machine that was never seen before."""
    at = reading.time.timestamp()
    return Known(reading.make, reading.model, at, at, at)


def remembered(known: Known, reading: Reading) -> Known:
    """The memory after a reading, which is not older than the last one."""
    at = reading.time.timestamp()
    make, model, first_at, seen_at, _, uptime_s, uptime_at, resets, shares, usual, declared = known
    if reading.state is State.UNREACHABLE:
        return Known(make, model, first_at, seen_at, at, uptime_s, uptime_at, resets, shares, usual, declared)
    if resets and resets[0] <= at - HOUR_S:
        resets = tuple(each for each in resets if each > at - HOUR_S)
    if (uptime := reading.uptime_s) is not None:
        if uptime_s is not None and (uptime < uptime_s or uptime_s < uptime < at - uptime_at - _SLACK_S):
            resets = (*resets, at)
        uptime_s, uptime_at = uptime, at
    accepted, rejected = reading.shares_accepted, reading.shares_rejected
    if accepted is not None and rejected is not None:
        shares = _counted(shares, at, accepted, rejected)
    if reading.expected_ths is None and reading.hashrate_ths and reading.is_meant_to_mine is not False:
        usual = _averaged(usual, at, reading.hashrate_ths)
    make, model = reading.make or make, reading.model or model
    return Known(make, model, first_at, at, at, uptime_s, uptime_at, resets, shares, usual, declared)


def _counted(shares: array[float], at: float, accepted: int, rejected: int) -> array[float]:
    """Counts of the last 10 minutes: the first ones are from before, so that the window is whole."""
    if not shares or at - shares[-3] > HOUR_S:
        return array("d", (at, accepted, rejected))
    if accepted < shares[-2] or rejected < shares[-1]:  # the machine restarted: it counts from 0
        return array("d", (shares[-3], 0, 0, at, accepted, rejected))
    first = 0
    while first + 3 < len(shares) and shares[first + 3] <= at - WINDOW_S:
        first += 3
    last = len(shares) - 3 if len(shares) - first > 3 and shares[-3] - shares[-6] < _SPACING_S else len(shares)
    kept = shares[first:last]
    kept.extend((at, accepted, rejected))
    return kept


def _averaged(usual: Usual | None, at: float, hashrate_ths: float) -> Usual:
    start = at - at % _BUCKET_S
    if usual is None:
        return Usual(_NONE, None, start, hashrate_ths, 1)
    if start <= usual.start:
        return usual._replace(total_ths=usual.total_ths + hashrate_ths, reads=usual.reads + 1)
    closed = usual.closed[_first_of_a_day(usual.closed, at) :]
    if usual.reads:
        closed.extend((usual.start, usual.total_ths / usual.reads, usual.reads))
    return Usual(closed, _median(closed), start, hashrate_ths, 1)


def _first_of_a_day(closed: array[float], at: float) -> int:
    first = 0
    while first < len(closed) and closed[first] < at - DAY_S:
        first += 3
    return first


def _median(closed: array[float]) -> float | None:
    """Of the means, each as often as it was read; None for too few."""
    if len(closed) < 3 * _FEWEST_BUCKETS:
        return None
    parts = sorted(zip(closed[1::3], closed[2::3], strict=True))
    half = sum(count for _, count in parts) / 2
    for mean, count in parts:
        half -= count
        if half <= 0:
            return mean
    return None


def is_worth_saving(before: Known | None, after: Known) -> bool:
    """Whether a restart would lose something: rarely for a machine that is well."""
    return (
        before is None
        or (before.make, before.model) != (after.make, after.model)
        or after.at // HOUR_S != before.at // HOUR_S
        or (before.seen_at == before.at and after.seen_at != after.at)  # it went away: since when counts
        or bool(after.resets)
        or before.resets != after.resets
        or (len(after.shares) > 3 and after.shares[-1] > after.shares[2])
        or (after.usual is not None and (before.usual is None or after.usual.start != before.usual.start))
    )


def to_json(known: Known) -> dict[str, Any]:
    """What is not in columns of its own."""
    usual = known.usual
    return {
        "uptime": [known.uptime_at, known.uptime_s] if known.uptime_s is not None else None,
        "resets": list(known.resets),
        "shares": list(known.shares),
        "usual": list(usual.closed) if usual is not None else None,
    }


def from_json(
    data: Mapping[str, Any],
    *,
    make: str | None,
    model: str | None,
    first_at: datetime,
    seen_at: datetime,
    at: datetime,
) -> Known:
    """A machine as it was written."""
    uptime_at, uptime_s = data["uptime"] or (0.0, None)
    closed = array("d", data["usual"] or ())
    usual = Usual(closed, _median(closed), closed[-3], 0.0, 0) if closed else None
    return Known(
        make,
        model,
        first_at.timestamp(),
        seen_at.timestamp(),
        at.timestamp(),
        uptime_s,
        uptime_at,
        tuple(data["resets"]),
        array("d", data["shares"]),
        usual,
    )
