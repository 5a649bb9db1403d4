"""Answers to questions about an account's file, put together of its machines' rows and of what its sites told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from backend.ids import AccountId, SiteId
from backend.store import questions, sitetotals, told
from backend.store.hot import HotFile
from backend.store.metrics import METRICS
from backend.store.protocol import Energy, EnergyBy, Series, SeriesQuery, Told, Total

T = TypeVar("T")


class Ask(Protocol):
    """Works on an account's file in a thread; without a file the answer is `none`."""

    async def __call__(self, account: AccountId, work: Callable[[HotFile], T], *, none: Callable[[], T]) -> T: ...


class Answers:
    """About all accounts."""

    def __init__(self, ask: Ask, clock: Callable[[], datetime]) -> None:
        self._ask = ask
        self._clock = clock

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer `Store.series`."""
        _known(query.metric)
        of_machines = await self._series(account, query)
        if (field := told.field_of(query)) is None:
            return of_machines
        sites: told.Told = await self._ask(
            account, lambda file: sitetotals.steps(file, query, field, now=self._clock()), none=dict
        )
        return await told.joined(query, of_machines, sites, partial(self._series, account))

    async def fleet(
        self,
        account: AccountId,
        metrics: Sequence[str],
        start: datetime,
        end: datetime,
        step: timedelta,
        site: SiteId | None,
    ) -> Sequence[Total]:
        """Answer `Store.fleet`."""
        _known(*metrics)
        found = []
        for metric in metrics:
            query = SeriesQuery(metric=metric, start=start, end=end, step=step, across="sum", site=site)
            answer = await self.series(account, query)
            found.append(Total(metric, answer[0].points if answer else ()))
        return found

    async def told(
        self, account: AccountId, start: datetime, end: datetime, site: SiteId | None, most: int
    ) -> Sequence[Told]:
        """Answer `Store.told`."""
        return await self._ask(
            account, lambda file: sitetotals.rows(file, start, end, site, now=self._clock(), most=most), none=list
        )

    async def energy(
        self,
        account: AccountId,
        start: datetime,
        end: datetime,
        step: timedelta,
        site: SiteId | None,
        by: EnergyBy,
    ) -> Sequence[Energy]:
        """Answer `Store.energy`."""
        first = questions.first_step(start, step)

        async def of_machines(step: timedelta, by: EnergyBy) -> Sequence[Energy]:
            return await self._ask(
                account, lambda file: questions.energy(file, first, end, step, site, by, now=self._clock()), none=list
            )

        if by == "machine":
            return await of_machines(step, by)
        fine = told.energy_step(step)
        sites: told.Told = await self._ask(
            account, lambda file: sitetotals.energy(file, first, end, fine, site, now=self._clock()), none=dict
        )
        if not sites:
            return await of_machines(step, by)
        return told.joined_energy(step, await of_machines(fine, "site"), sites, by)

    async def _series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Of machines only."""
        return await self._ask(account, lambda file: questions.series(file, query, now=self._clock()), none=list)


def _known(*metrics: str) -> None:
    for metric in metrics:
        if metric not in METRICS:
            raise KeyError(metric)
