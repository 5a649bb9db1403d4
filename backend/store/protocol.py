"""What a time-series store promises. Two engines keep it; one contract suite tests both.

Every method takes the account first, and nothing that belongs to another account can be read, changed or
counted through it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from agent import wire
from agent.wire import Batch, MachineId, Reading
from backend.ids import AccountId, SiteId

Aggregate = Literal["mean", "min", "max", "sum", "last", "p95", "count"]
"""`p95` is one of the values: the smallest that at least 95 % of them are not above (nearest rank)."""
DataClass = Literal["telemetry_raw", "telemetry_rollup"]
"""What a store keeps, each class for a time of its own: readings as they came, and what was worked out of them."""
Format = Literal["parquet", "csv"]

EnergyBy = Literal["machine", "site", "all"]

Points = tuple[tuple[datetime, float], ...]
"""Values by time, oldest first."""

DEFAULT_WINDOWS: Final[Mapping[DataClass, timedelta]] = {
    "telemetry_raw": timedelta(days=90),
    "telemetry_rollup": timedelta(days=730),
}
"""How long a class is kept when nobody has decided."""
GAP: Final = timedelta(minutes=5)
"""Readings of a machine that are further apart have a gap between them, of which nothing is known."""


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
    machines: first `aggregate` of each machine in each step, then `across` over the machines. The sum of their means
    is `Store.fleet`'s, with what sites told. `machines` empty means all of `site`, or of the account.
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
    points: Points


@dataclass(frozen=True, slots=True)
class Total:
    """One metric over all machines: in each step the sum of each machine's mean; a step without data is absent."""

    metric: str
    points: Points


@dataclass(frozen=True, slots=True)
class Energy:
    """kWh on the step's grid, oldest first, of one machine, of one site or (neither) of all; a step without power is
    absent."""

    points: Points
    machine: MachineId | None = None
    site: SiteId | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a site told of itself, or of its machines of one model, in place of their readings."""

    site: SiteId
    total: wire.Aggregate


@dataclass(frozen=True, slots=True)
class Hold:
    """What a sweep must leave, whatever its window: `start` ≤ time < `end`, None = without that bound."""

    start: datetime | None = None
    end: datetime | None = None


NO_HOLDS: Final[Mapping[DataClass, Hold]] = {}


@dataclass(frozen=True, slots=True)
class Everything:
    """To erase: the account, its windows, its key, the ids of its batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """To erase: what is of `site`, and of `machine`, and of `start` ≤ time < `end`; None = whichever.

    Of rollups, whole hours go: what is left of an hour is worked out anew from its readings, as far as they are kept.
    """

    site: SiteId | None = None
    machine: MachineId | None = None
    start: datetime | None = None
    end: datetime | None = None


Scope = Everything | Part


@dataclass(frozen=True, slots=True)
class Removed:
    """What is gone, for the audit trail: `rows` readings (or rollup rows) from `start` to `end`, where known."""

    data_class: DataClass
    start: datetime | None
    end: datetime | None
    rows: int
    bytes: int  # of disk space given back; 0 where the engine cannot know


@dataclass(frozen=True, slots=True)
class ExportPart:
    """One file of an export: a day's readings, boards within them, or told totals. Take the chunks before the next."""

    name: str  # readings-2026-01-01.parquet, totals-2026-01-01.parquet
    chunks: AsyncIterator[bytes]


class Store(Protocol):
    """Time series of many accounts: what comes in, questions about it, how long it stays, how it goes."""

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

    async def fleet(
        self,
        account: AccountId,
        *,
        metrics: Sequence[str],
        start: datetime,
        end: datetime,
        step: timedelta,
        site: SiteId | None = None,
    ) -> Sequence[Total]:
        """Totals over time, in the order asked. Of a flag it is how many machines, by their share of the step.

        A site that told totals in place of readings counts with the mean of what it told in the step, where it told
        that metric so that it adds up (`backend.store.told.TOTAL_OF`). Steps are those of `SeriesQuery`. Raises
        `KeyError` for a metric that the catalogue does not have.
        """

    async def told(
        self, account: AccountId, *, start: datetime, end: datetime, site: SiteId | None = None, most: int = 200_000
    ) -> Sequence[Told]:
        """What sites told in place of readings, for `start` ≤ time < `end`, ordered by time, site and group, the whole
        site first; kept as long as readings are. Raises `TooManyPoints` for more than `most`."""

    async def energy(
        self,
        account: AccountId,
        *,
        start: datetime,
        end: datetime,
        step: timedelta,
        site: SiteId | None = None,
        by: EnergyBy = "machine",
    ) -> Sequence[Energy]:
        """What machines took: each reading's power over the time since the machine's reading before it.

        When that is longer ago than `GAP`, or there is none, nothing is known and nothing is counted. The reading's
        step gets all of it. Ordered by machine or by site; by site and of all together, what sites told in place of
        readings counts as well, in the hours (of shorter steps: the steps) in which nothing is known of their
        machines.
        """

    async def tend(self, *, now: datetime) -> None:
        """Do for all accounts what may wait: rollups, sealing. To be called every few minutes; safe to kill."""

    async def oldest(self, account: AccountId) -> Mapping[DataClass, datetime | None]:
        """The time of the oldest record that is on disk, by class; None: there is none. The hour is exact enough."""

    async def windows(self, account: AccountId) -> Mapping[DataClass, timedelta]:
        """How long each class is kept."""

    async def set_window(self, account: AccountId, data_class: DataClass, window: timedelta) -> None:
        """Keep a class this long from now on. No later read sees older data. Raises `ValueError` when it cannot."""

    async def sweep(
        self, account: AccountId, *, now: datetime, holds: Mapping[DataClass, Hold] = NO_HOLDS
    ) -> Sequence[Removed]:
        """Remove what is past its window and not held, within a day of it. Safe to kill and to run again."""

    async def erase(self, account: AccountId, scope: Scope) -> Sequence[Removed]:
        """Remove what is in scope, on every disk that this engine writes; on return no read sees it."""

    def export(
        self,
        account: AccountId,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        format: Format = "parquet",
    ) -> AsyncIterator[ExportPart]:
        """Every reading that can be read, a file a day, oldest first, then told totals; never the whole in memory."""

    async def import_(self, account: AccountId, parts: Iterable[tuple[str, bytes]]) -> int:
        """Store files of an export (name, content; Parquet) and return how many readings and totals; a file twice is
        once.

        Raises `ValueError` for what is no such file.
        """

    async def usage(self, account: AccountId) -> Mapping[DataClass, int]:
        """Bytes on disk by class; what is not divided by class counts as raw. 0 where the engine cannot know."""

    async def check(self) -> None:
        """Raise when a batch could not be stored now."""

    async def close(self) -> None:
        """Write what is open and let go of files. Safe to call twice."""
