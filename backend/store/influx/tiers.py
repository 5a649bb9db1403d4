"""Buckets: one for each retention tier and grain, for one server serves about twenty active ones well.

An account's data goes to the smallest tier that holds its window. The bucket's own rule removes what is older than
the tier; what lies between the window and the tier, we do: reads never look past the window, a daily sweep deletes.
When a window moves to another tier, new data goes to the new bucket, and the old one is read until what it holds is
past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from backend.store.protocol import DataClass

Grain = Literal["raw", "5m", "1h"]

TIERS_DAYS: Final = (7, 30, 90, 180, 365, 730)
GRAINS: Final[dict[DataClass, tuple[Grain, ...]]] = {"telemetry_raw": ("raw",), "telemetry_rollup": ("5m", "1h")}
BATCHES_DAYS: Final = 31
"""How long ids of batches are known: an agent may come with readings that are 30 days old, and come again."""
_SLACK: Final = timedelta(days=2)
"""A bucket keeps a little longer than its tier: facts stand at the start of their day, and a write takes time."""
_LONG: Final = timedelta(days=90)
"""Of what a bucket keeps so long, a week is little; and what is past its window, the sweep deletes anyway."""
_IN_FLIGHT: Final = timedelta(hours=1)
"""How long after a decision some process may still write by the one before."""


@dataclass(frozen=True, slots=True)
class Decision:
    """From this time on, data is kept this long."""

    since: datetime
    window: timedelta


@dataclass(frozen=True, slots=True)
class Kept:
    """How a class of an account's data is kept now."""

    window: timedelta
    tiers_days: tuple[int, ...]
    """Where it may be; the first is where it is written."""

    @property
    def tier_days(self) -> int:
        """The tier that is written to."""
        return self.tiers_days[0]


def tier_days(window: timedelta) -> int:
    """The smallest tier that holds a window. Raises `ValueError` for one that none does."""
    if window < timedelta(0):
        raise ValueError("a window is not negative")
    for days in TIERS_DAYS:
        if window <= timedelta(days=days):
            return days
    raise ValueError(f"a window is at most {TIERS_DAYS[-1]} days here")


def kept(decisions: Sequence[Decision], now: datetime) -> Kept:
    """What follows now from the decisions, oldest first."""
    current = decisions[-1]
    tiers = [tier_days(current.window)]
    for before, after in pairwise(decisions):
        days = tier_days(before.window)
        # What was written to it is older than the next decision, and goes with the bucket's rule.
        gone = after.since + _IN_FLIGHT + timedelta(days=days) + _SLACK
        if now < gone and days not in tiers:
            tiers.append(days)
    return Kept(window=current.window, tiers_days=tuple(tiers))


def bucket(prefix: str, grain: Grain, days: int) -> str:
    """The name of a tier's bucket."""
    return f"{prefix}_{grain}_{days}d"


def held_bucket(prefix: str, grain: Grain) -> str:
    """Where what a legal hold keeps goes when its window is past."""
    return f"{prefix}_{grain}_held"


def batches_bucket(prefix: str) -> str:
    """Where the ids of stored batches are."""
    return f"{prefix}_batches"


def accounts_bucket(prefix: str) -> str:
    """Where decisions of accounts are, for good."""
    return f"{prefix}_accounts"


def rules(prefix: str) -> dict[str, timedelta | None]:
    """Every bucket and how long the server keeps what is in it (None: for good)."""
    found: dict[str, timedelta | None] = {
        bucket(prefix, grain, days): timedelta(days=days) + _SLACK
        for grains in GRAINS.values()
        for grain in grains
        for days in TIERS_DAYS
    }
    found |= {held_bucket(prefix, grain): None for grains in GRAINS.values() for grain in grains}
    found[batches_bucket(prefix)] = timedelta(days=BATCHES_DAYS) + _SLACK
    found[accounts_bucket(prefix)] = None
    return found


def shard(keep: timedelta | None) -> timedelta:
    """How much time one of the server's files is of. It goes by its rule as a whole, when its newest point is past.

    Each file names every field of every series, which is 8 B a poll in a day's and 3 B in a week's.
    """
    return timedelta(days=7) if keep is None or keep >= _LONG else timedelta(days=1)
