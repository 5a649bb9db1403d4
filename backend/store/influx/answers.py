"""Answers to questions about an account, put together of its machines' points or rollups and of what its sites told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from backend.ids import AccountId, SiteId
from backend.store import told
from backend.store.influx import plan, series
from backend.store.influx.client import Client
from backend.store.influx.energy import EnergyQuestion
from backend.store.influx.places import Places
from backend.store.influx.schema import DAY_US
from backend.store.influx.sitetotals import SiteTotals
from backend.store.influx.stale import Stale
from backend.store.influx.times import microseconds
from backend.store.influx.watch import Watch
from backend.store.influx.windows import Windows
from backend.store.metrics import METRICS
from backend.store.protocol import Energy, EnergyBy, Series, SeriesQuery, Told, Total


class Answers:
    """About all accounts."""

    def __init__(
        self,
        client: Client,
        places: Places,
        windows: Windows,
        stale: Stale,
        watch: Watch,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._places = places
        self._windows = windows
        self._stale = stale
        self._watch = watch
        self._clock = clock

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer `Store.series`."""
        _ = METRICS[query.metric]
        data = await self._data(account, with_rollups=plan.grain(query) is not None)
        return await self._with_told(account, query, data)

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
        queries = [
            SeriesQuery(metric=METRICS[metric].name, start=start, end=end, step=step, across="sum", site=site)
            for metric in metrics
        ]
        data = await self._data(account, with_rollups=True)
        found = []
        for query in queries:
            answer = await self._with_told(account, query, data)
            found.append(Total(query.metric, answer[0].points if answer else ()))
        return found

    async def told(
        self, account: AccountId, start: datetime, end: datetime, site: SiteId | None, most: int
    ) -> Sequence[Told]:
        """Answer `Store.told`."""
        kept = await self._windows.of(account, "telemetry_raw")
        from_us = microseconds(self._clock() - kept.window)
        totals = SiteTotals(self._client, account, self._places.to_read("raw", kept), from_us)
        return await totals.rows(start, end, site, most)

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
        data = await self._data(account, with_rollups=True)
        start_us = series.first_step_us(SeriesQuery(metric="power_w", start=start, end=end, step=step))

        async def of_machines(step: timedelta, by: EnergyBy) -> Sequence[Energy]:
            question = EnergyQuestion(
                client=self._client,
                account=account,
                start_us=start_us,
                end_us=microseconds(end),
                step_us=step // timedelta(microseconds=1),
                site=site,
                by=by,
                data=data,
            )
            return await question.answer()

        if by == "machine":
            return await of_machines(step, by)
        fine = told.energy_step(step)
        totals = SiteTotals(self._client, account, data.raw, data.raw_from_us)
        sites = await totals.energy(start_us, microseconds(end), fine // timedelta(microseconds=1), site)
        if not sites:
            return await of_machines(step, by)
        return told.joined_energy(step, await of_machines(fine, "site"), sites, by)

    async def _with_told(self, account: AccountId, query: SeriesQuery, data: plan.Data) -> Sequence[Series]:
        async def of_machines(query: SeriesQuery) -> Sequence[Series]:
            return await series.answer(self._client, account, query, plan.segments(query, data))

        found = await of_machines(query)
        if (field := told.field_of(query)) is None:
            return found
        sites = await SiteTotals(self._client, account, data.raw, data.raw_from_us).steps(query, field)
        return await told.joined(query, found, sites, of_machines)

    async def _data(self, account: AccountId, *, with_rollups: bool) -> plan.Data:
        """What there is of an account, and what of it is up to date."""
        now = self._clock()
        raw = await self._windows.of(account, "telemetry_raw")
        rolled = await self._windows.of(account, "telemetry_rollup")
        if with_rollups:
            await self._watch.look(account)
        return plan.Data(
            raw=self._places.to_read("raw", raw),
            raw_from_us=microseconds(now - raw.window),
            rolled=self._places.rolled(rolled),
            rolled_from_us=microseconds(now - rolled.window),
            stale_hours_us=list(await self._stale.hours(account)) if with_rollups else (),
            end_us=microseconds(now) + DAY_US,
        )
