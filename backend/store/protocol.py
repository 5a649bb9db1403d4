"""What a time-series store promises. Two engines keep it; one contract suite tests both.

Every method takes the account first, and nothing that belongs to another account can be read, changed or
counted through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from agent.wire import Batch, MachineId, Reading
from backend.ids import AccountId, SiteId

Aggregate = Literal["mean", "min", "max", "sum", "last"]


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of one machine."""

    site: SiteId
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesQuery:
    """A question about one metric of the catalogue (`backend.store.metrics`), for `start` ≤ time < `end`.

    Steps lie on the grid of whole steps since 1970, and `start` is moved down to it, so that no first step is
    half a one. Without `across` the answer has one series a machine. With it there is one series over the
    machines: first `aggregate` of each machine in each step, then `across` over the machines. `machines`
    empty means all of `site`, or of the account.
    """

    metric: str
    start: datetime
    end: datetime
    step: timedelta
    aggregate: Aggregate = "mean"  # within one step of one machine
    across: Aggregate | None = None  # over machines; None = one series a machine
    site: SiteId | None = None
    machines: tuple[MachineId, ...] = ()
    max_points: int = 200_000  # of the whole answer


class TooManyPoints(ValueError):
    """The answer would have more points than the query allows: ask for less time, fewer machines or longer steps."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values on the step's grid, oldest first; a step without data is absent."""

    machine: MachineId | None  # None: a total over machines
    points: tuple[tuple[datetime, float], ...]


class Store(Protocol):
    """Time series of many accounts."""

    async def write(self, account: AccountId, batch: Batch, *, now: datetime) -> bool:
        """Store a batch. When this returns it is durable. False: this batch id was already stored."""

    async def latest(
        self, account: AccountId, *, site: SiteId | None = None, since: datetime | None = None
    ) -> Sequence[Latest]:
        """The newest reading of each machine, ordered by machine."""

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer a query, ordered by machine; machines without a value are absent.

        Raises `KeyError` for a metric that the catalogue does not have, and `TooManyPoints`.
        """

    async def check(self) -> None:
        """Raise when a batch could not be stored now."""

    async def close(self) -> None:
        """Write what is open and let go of files. Safe to call twice."""
