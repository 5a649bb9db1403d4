"""The store on InfluxDB: many accounts in few buckets, each point and each question with its account's tag."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from agent.wire import Batch
from backend.ids import AccountId, SiteId
from backend.store.influx import names, tiers
from backend.store.influx.answers import Answers
from backend.store.influx.batches import Batches, Touch
from backend.store.influx.client import Client
from backend.store.influx.export import Export
from backend.store.influx.newest import Newest
from backend.store.influx.places import Places
from backend.store.influx.retention import Retention
from backend.store.influx.roller import Roller
from backend.store.influx.settings import InfluxSettings
from backend.store.influx.stale import Stale
from backend.store.influx.times import microseconds
from backend.store.influx.watch import Watch
from backend.store.influx.windows import Windows
from backend.store.influx.writing import Writer
from backend.store.protocol import (
    DEFAULT_WINDOWS,
    NO_HOLDS,
    DataClass,
    Energy,
    EnergyBy,
    Everything,
    ExportPart,
    Format,
    Hold,
    Latest,
    Removed,
    Scope,
    Series,
    SeriesQuery,
    Told,
    Total,
)


class InfluxStore:
    """A `Store` on a server. Nothing is asked of the server before the first call."""

    def __init__(self, settings: InfluxSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._client = Client(settings)
        self._places = Places(settings.prefix)
        self._batches = Batches(self._client, settings.prefix)
        self._windows = Windows(self._client, settings.prefix, clock)
        self._writer = Writer(self._client, self._batches)
        self._newest = Newest(self._client, clock)
        self._stale = Stale(self._client, self._batches, settings.prefix, clock)
        self._watch = Watch(self._batches, clock, self._on_touch)
        self._answers = Answers(self._client, self._places, self._windows, self._stale, self._watch, clock)
        self._roller = Roller(self._client, self._stale)
        self._retention = Retention(self._client, self._batches, self._windows, settings.prefix, clock)
        # What is rolled up, swept or erased of one account is not so at once.
        self._maintaining: WeakValueDictionary[AccountId, asyncio.Lock] = WeakValueDictionary()
        self._preparing = asyncio.Lock()
        self._is_prepared = False

    async def write(self, account: AccountId, batch: Batch, *, now: datetime) -> bool:
        """Store a batch; `Store.write` says what that means.

        Readings past the account's window are not stored: they could not be read.
        """
        await self._prepared(account)
        async with self._writer.turn(account, batch.id):
            kept = await self._windows.settled(account, "telemetry_raw")
            stored = await self._writer.write(account, batch, self._places.to_write("raw", kept), kept.window, now=now)
            if stored is None:
                return False
            readings, hours_us = stored
            self._newest.took(account, SiteId(batch.site), readings)
            self._stale.touch(account, hours_us, microseconds(now))
        return True

    async def latest(
        self, account: AccountId, *, site: SiteId | None = None, since: datetime | None = None
    ) -> Sequence[Latest]:
        """The newest reading of each machine, ordered by machine."""
        await self._prepared(account)
        await self._watch.look(account)
        kept = await self._windows.of(account, "telemetry_raw")
        newest = await self._newest.of(account, self._places.to_read("raw", kept), kept.window)
        return [
            one for one in newest if (site is None or one.site == site) and (since is None or one.reading.time >= since)
        ]

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer a query; `Store.series` says how."""
        await self._prepared(account)
        return await self._answers.series(account, query)

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
        """Totals over time; `Store.fleet` says which."""
        await self._prepared(account)
        return await self._answers.fleet(account, metrics, start, end, step, site)

    async def told(
        self, account: AccountId, *, start: datetime, end: datetime, site: SiteId | None = None, most: int = 200_000
    ) -> Sequence[Told]:
        """What sites told in place of readings; `Store.told` says in which order."""
        await self._prepared(account)
        return await self._answers.told(account, start, end, site, most)

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
        """What machines took, kWh; `Store.energy` says how it is counted."""
        await self._prepared(account)
        return await self._answers.energy(account, start, end, step, site, by)

    async def tend(self, *, now: datetime) -> None:
        """Make the rollups that are due, of all accounts. Until then their hours are answered from the points."""
        await self._prepared()
        for account in await self._windows.accounts():
            async with self._maintenance(account):
                await self._roll(account, now)

    async def oldest(self, account: AccountId) -> Mapping[DataClass, datetime | None]:
        """The oldest record on disk, by class."""
        await self._prepared(account)
        return await self._retention.oldest(account)

    async def windows(self, account: AccountId) -> Mapping[DataClass, timedelta]:
        """How long each class is kept."""
        await self._prepared(account)
        return {data_class: (await self._windows.of(account, data_class)).window for data_class in DEFAULT_WINDOWS}

    async def set_window(self, account: AccountId, data_class: DataClass, window: timedelta) -> None:
        """Keep a class this long from now on: at once for who asks here, within a minute for other processes.

        Raises `ValueError` for a window that no tier holds.
        """
        await self._prepared(account)
        await self._windows.decide(account, data_class, window)
        self._newest.forget(account)

    async def sweep(
        self, account: AccountId, *, now: datetime, holds: Mapping[DataClass, Hold] = NO_HOLDS
    ) -> Sequence[Removed]:
        """Remove what is past its window and not held."""
        await self._prepared(account)
        async with self._maintenance(account):
            return await self._retention.sweep(account, now=now, holds=holds)

    async def erase(self, account: AccountId, scope: Scope) -> Sequence[Removed]:
        """Remove what is in scope; on return no read sees it, here or elsewhere."""
        await self._prepared(account)
        async with self._maintenance(account):
            if isinstance(scope, Everything):
                removed = await self._retention.erase_all(account)
            else:
                removed = await self._retention.erase_part(account, scope)
        self._forget(account)
        return removed

    async def export(
        self,
        account: AccountId,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        format: Format = "parquet",
    ) -> AsyncIterator[ExportPart]:
        """Every reading that can be read, a file a day."""
        await self._prepared(account)
        kept = await self._windows.of(account, "telemetry_raw")
        since = self._clock() - kept.window
        export = Export(
            client=self._client,
            account=account,
            buckets=self._places.to_read("raw", kept),
            start_us=microseconds(since if start is None else max(start, since)),
            end_us=None if end is None else microseconds(end),
            format=format,
        )
        async for part in export.parts():
            yield part

    async def import_(self, account: AccountId, parts: Iterable[tuple[str, bytes]]) -> int:
        """Store files of an export."""
        from backend.store.exchange import batch_count, batches_of  # Arrow, for those who use it

        found = 0
        for name, content in parts:
            for batch in await asyncio.to_thread(batches_of, name, content):
                if await self.write(account, batch, now=self._clock()):
                    found += batch_count(batch)
        return found

    async def usage(self, account: AccountId) -> Mapping[DataClass, int]:
        """The server does not tell what space an account takes."""
        names.check(account)
        return dict.fromkeys(DEFAULT_WINDOWS, 0)

    async def check(self) -> None:
        """Raise when a batch could not be stored now."""
        await self._prepared()
        minute_us = microseconds(self._clock()) // 60_000_000 * 60_000_000
        await self._client.write(tiers.batches_bucket(self._settings.prefix), [f"check works=1i {minute_us}"])

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        await self._client.close()

    async def _prepared(self, account: AccountId | None = None) -> None:
        """Before anything else: is the account one, and are the buckets there."""
        if account is not None:
            names.check(account)
        if self._is_prepared:
            return
        async with self._preparing:
            if not self._is_prepared:
                from backend.store.influx.management import prepare  # half a second, for those who use it

                await asyncio.to_thread(prepare, self._settings)
                self._is_prepared = True

    async def _roll(self, account: AccountId, now: datetime) -> None:
        await self._watch.look(account)
        raw = await self._windows.of(account, "telemetry_raw")
        rolled = await self._windows.settled(account, "telemetry_rollup")
        await self._roller.roll(
            account,
            now=now,
            raw=self._places.to_read("raw", raw),
            raw_window=raw.window,
            into={"5m": self._places.to_write("5m", rolled), "1h": self._places.to_write("1h", rolled)},
        )

    def _on_touch(self, account: AccountId, touch: Touch | None) -> None:
        """Another process did something to the account; None: anything."""
        if touch is None or touch.site is None:
            self._forget(account)
        else:
            self._newest.forget(account)
            self._stale.touch(account, touch.hours_us, touch.at_us)

    def _forget(self, account: AccountId) -> None:
        self._newest.forget(account)
        self._stale.forget(account)
        self._writer.forget(account)

    def _maintenance(self, account: AccountId) -> asyncio.Lock:
        return self._maintaining.setdefault(account, asyncio.Lock())
