"""What goes from the server: what is past its window, and what somebody wants erased."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from backend.ids import AccountId
from backend.store.influx import tiers
from backend.store.influx.batches import Batches
from backend.store.influx.client import Client
from backend.store.influx.erasing import Erasure
from backend.store.influx.past import Past, Tally, count
from backend.store.influx.places import Places
from backend.store.influx.queries import Delete
from backend.store.influx.tiers import GRAINS
from backend.store.influx.times import microseconds, moment
from backend.store.influx.windows import Windows
from backend.store.protocol import DEFAULT_WINDOWS, DataClass, Hold, Part, Removed


class Retention:
    """Of all accounts."""

    def __init__(
        self, client: Client, batches: Batches, windows: Windows, prefix: str, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._batches = batches
        self._windows = windows
        self._prefix = prefix
        self._places = Places(prefix)
        self._clock = clock

    async def oldest(self, account: AccountId) -> Mapping[DataClass, datetime | None]:
        """The oldest record on disk, by class."""
        found: dict[DataClass, datetime | None] = {}
        for data_class in GRAINS:
            times_us = [
                counted[1]
                for grain, buckets in self._places.every(data_class).items()
                for bucket in buckets
                if (counted := await count(self._client, account, grain, bucket)) is not None
            ]
            found[data_class] = moment(min(times_us)) if times_us else None
        return found

    async def sweep(self, account: AccountId, *, now: datetime, holds: Mapping[DataClass, Hold]) -> list[Removed]:
        """Remove what is past its window and not held, from every bucket of every tier."""
        removed: list[Removed] = []
        for data_class in GRAINS:
            kept = await self._windows.of(account, data_class)
            hold, tally = holds.get(data_class), Tally()
            for grain, (*buckets, held) in self._places.every(data_class).items():
                past = Past(self._client, account, grain, microseconds(now - kept.window))
                for bucket in buckets:
                    await past.sweep(bucket, held, hold, tally)
                await past.release(held, hold, tally)
            removed += tally.removed(data_class)
        return removed

    async def erase_part(self, account: AccountId, part: Part) -> list[Removed]:
        """Remove a part, and have the rollups of hours that it cuts made anew."""
        erasure = Erasure(self._client, account, part)
        raw, rolled = Tally(), Tally()
        await erasure.erase_raw(self._places.every("telemetry_raw")["raw"], raw)
        for grain, buckets in self._places.every("telemetry_rollup").items():
            await erasure.erase_rollups(grain, buckets, rolled)
        await self._batches.erased(account, erasure.edges_us, now=self._clock())
        return [*raw.removed("telemetry_raw"), *rolled.removed("telemetry_rollup")]

    async def erase_all(self, account: AccountId) -> list[Removed]:
        """Remove all that there is of the account, its windows and the ids of its batches too."""
        removed: list[Removed] = []
        for data_class in DEFAULT_WINDOWS:
            tally = Tally()
            for grain, buckets in self._places.every(data_class).items():
                for bucket in buckets:
                    counted = await count(self._client, account, grain, bucket)
                    if counted is not None:
                        tally.add(*counted)
                    await self._client.delete(bucket, Delete(account=account))
            removed += tally.removed(data_class)
        await self._client.delete(tiers.batches_bucket(self._prefix), Delete(account=account))
        await self._windows.erase(account)
        # All that stays: for a month, that this id is nobody's any more, so that no process answers from memory.
        await self._batches.erased(account, now=self._clock())
        return removed
