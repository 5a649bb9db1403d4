"""The store on InfluxDB.

A batch is stored in three steps: is its id known; its lines, until the server has them on disk; its id. Whatever
comes between leaves lines that the same batch, coming again, writes over with themselves.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from agent.wire import Batch, Reading
from backend.ids import AccountId, SiteId
from backend.store.influx import facts, lineprotocol, names, series, tiers
from backend.store.influx.batches import HOUR_US, Batches
from backend.store.influx.client import Client
from backend.store.influx.lineprotocol import microseconds
from backend.store.influx.newest import Newest
from backend.store.influx.settings import InfluxSettings
from backend.store.influx.tiers import DataClass, Grain, Kept
from backend.store.influx.windows import Windows
from backend.store.metrics import METRICS
from backend.store.protocol import Latest, Series, SeriesQuery

_FACTS_REMEMBERED: Final = 200_000


class InfluxStore:
    """A `Store` on a server. Nothing is asked of the server before the first call."""

    def __init__(self, settings: InfluxSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._client = Client(settings)
        self._batches = Batches(self._client, settings.prefix)
        self._windows = Windows(self._client, settings.prefix, clock)
        self._newest = Newest(self._client, self._batches, clock)
        self._facts: OrderedDict[tuple[str, facts.Key], None] = OrderedDict()  # stored in which bucket
        # Of one batch that comes several times at once, the others wait for the first.
        self._turns: WeakValueDictionary[tuple[AccountId, UUID], asyncio.Lock] = WeakValueDictionary()
        self._preparing = asyncio.Lock()
        self._is_prepared = False

    async def write(self, account: AccountId, batch: Batch, *, now: datetime) -> bool:
        """Store a batch; `Store.write` says what that means.

        Readings past the account's window are not stored: they could not be read.
        """
        await self._prepared(account)
        async with self._turns.setdefault((account, batch.id), asyncio.Lock()):
            if await self._batches.known(account, batch.id, now=now):
                return False
            kept = await self._windows.settled(account, "telemetry_raw")
            readings = [reading for reading in batch.readings if reading.time >= now - kept.window]
            await self._write_lines(account, batch, readings, self._bucket("raw", kept.tier_days))
            hours_us = {microseconds(reading.time) // HOUR_US * HOUR_US for reading in readings}
            await self._batches.stored(account, SiteId(batch.site), batch.id, hours_us, now=now)
            self._newest.took(account, SiteId(batch.site), readings)
        return True

    async def latest(
        self, account: AccountId, *, site: SiteId | None = None, since: datetime | None = None
    ) -> Sequence[Latest]:
        """The newest reading of each machine, ordered by machine."""
        await self._prepared(account)
        kept = await self._windows.of(account, "telemetry_raw")
        newest = await self._newest.of(account, self._buckets("raw", kept), kept.window)
        return [
            one for one in newest if (site is None or one.site == site) and (since is None or one.reading.time >= since)
        ]

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer a query; `Store.series` says how."""
        if query.metric not in METRICS:
            raise KeyError(query.metric)
        await self._prepared(account)
        kept = await self._windows.of(account, "telemetry_raw")
        start_us = max(series.first_step_us(query), microseconds(self._clock() - kept.window))
        end_us = microseconds(query.end)
        if start_us >= end_us:
            return []
        segments = [series.Segment("machine", tuple(self._buckets("raw", kept)), start_us, end_us)]
        return await series.answer(self._client, account, query, segments)

    async def set_window(self, account: AccountId, data_class: DataClass, window: timedelta) -> None:
        """Keep a class of the account's data this long from now on; what is older is unreadable at once here."""
        await self._prepared(account)
        await self._windows.decide(account, data_class, window)

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
            names.account_tag(account)
        if self._is_prepared:
            return
        async with self._preparing:
            if not self._is_prepared:
                from backend.store.influx.management import prepare  # half a second, for those who use it

                await asyncio.to_thread(prepare, self._settings)
                self._is_prepared = True

    async def _write_lines(self, account: AccountId, batch: Batch, readings: Sequence[Reading], bucket: str) -> None:
        lines, referred = await asyncio.to_thread(lineprotocol.render, account, batch, readings)
        new = {key: content for key, content in referred.items() if (bucket, key) not in self._facts}
        await self._client.write(bucket, lines + [facts.line(key, content) for key, content in new.items()])
        self._remember(bucket, new)

    def _remember(self, bucket: str, stored: Mapping[facts.Key, facts.Content]) -> None:
        for key in stored:
            self._facts[bucket, key] = None
        while len(self._facts) > _FACTS_REMEMBERED:
            self._facts.popitem(last=False)

    def _bucket(self, grain: Grain, days: int) -> str:
        return tiers.bucket(self._settings.prefix, grain, days)

    def _buckets(self, grain: Grain, kept: Kept) -> list[str]:
        return [self._bucket(grain, days) for days in kept.tiers_days]
