"""Writes batches: is the id known; the lines, until the server has them on disk; the id.

Whatever comes between leaves lines that the same batch, coming again, writes over with themselves.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from agent.wire import Batch, Reading
from backend.ids import AccountId, SiteId
from backend.store.influx import facts, lineprotocol, names, sitetotals
from backend.store.influx.batches import Batches
from backend.store.influx.client import Client
from backend.store.influx.rollup import GAP_US
from backend.store.influx.schema import HOUR_US
from backend.store.influx.times import microseconds

_FACTS_REMEMBERED: Final = 200_000


class Writer:
    """Of all accounts."""

    def __init__(self, client: Client, batches: Batches) -> None:
        self._client = client
        self._batches = batches
        self._facts: OrderedDict[tuple[str, facts.Key], None] = OrderedDict()  # stored in which bucket
        # Of one batch that comes several times at once, the others wait for the first.
        self._turns: WeakValueDictionary[tuple[AccountId, UUID], asyncio.Lock] = WeakValueDictionary()

    def turn(self, account: AccountId, batch: UUID) -> asyncio.Lock:
        """To be held while a batch is written."""
        return self._turns.setdefault((account, batch), asyncio.Lock())

    async def write(
        self, account: AccountId, batch: Batch, bucket: str, window: timedelta, *, now: datetime
    ) -> tuple[list[Reading], set[int]] | None:
        """Store a batch; the readings that are stored and the hours touched. None: it was there.

        Readings and totals past the window are not stored: they could not be read.
        """
        if await self._batches.known(account, batch.id, now=now):
            return None
        readings = [reading for reading in batch.readings if reading.time >= now - window]
        totals = [total for total in batch.aggregates or () if total.time >= now - window]
        lines, referred = await asyncio.to_thread(lineprotocol.render, account, batch, readings)
        lines += sitetotals.lines(account, batch.site, totals)
        new = {key: content for key, content in referred.items() if (bucket, key) not in self._facts}
        await self._client.write(bucket, lines + [facts.line(key, content) for key, content in new.items()])
        self._remember(bucket, new)
        hours_us = touched(readings)
        await self._batches.stored(account, SiteId(batch.site), batch.id, hours_us, now=now)
        return readings, hours_us

    def forget(self, account: AccountId) -> None:
        """Facts of the account may be gone."""
        tag = names.account_tag(account)
        for place in [place for place in self._facts if place[1].account == tag]:
            del self._facts[place]

    def _remember(self, bucket: str, stored: Iterable[facts.Key]) -> None:
        for key in stored:
            self._facts[bucket, key] = None
        while len(self._facts) > _FACTS_REMEMBERED:
            self._facts.popitem(last=False)


def touched(readings: Sequence[Reading]) -> set[int]:
    """The hours whose rollups readings change: energy is counted from a reading to the next within the gap."""
    times_us = {microseconds(reading.time) for reading in readings}
    return {at_us // HOUR_US * HOUR_US for time_us in times_us for at_us in (time_us, time_us + GAP_US)}
