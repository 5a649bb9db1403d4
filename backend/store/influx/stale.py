"""Hours whose rollups are out of date: those touched since they were made.

Known from this process's writes and, through `Watch`, from the others'; after a restart from what is written of every
batch. How far back to look then is written down each time rollups are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from backend.ids import AccountId
from backend.store.influx import names, tiers
from backend.store.influx.batches import Batches
from backend.store.influx.client import Client
from backend.store.influx.queries import FIRST_US, LAST_US, Column, Select
from backend.store.influx.times import microseconds
from backend.store.influx.watch import MARGIN_US

_OLDEST_TOUCH: Final = timedelta(days=tiers.BATCHES_DAYS)


@dataclass(slots=True)
class Touched:
    """An hour: when it was touched first and last since its rollups were made."""

    first_us: int
    last_us: int
    times: int = 1  # tells whether it was touched again meanwhile


@dataclass(slots=True)
class _Known:
    hours: dict[int, Touched] = field(default_factory=dict)
    is_loaded: bool = False

    def touch(self, hours_us: Iterable[int], at_us: int) -> None:
        for hour_us in hours_us:
            known = self.hours.get(hour_us)
            if known is None:
                self.hours[hour_us] = Touched(at_us, at_us)
            else:
                known.first_us, known.last_us = min(known.first_us, at_us), max(known.last_us, at_us)
                known.times += 1


class Stale:
    """Of all accounts that this process has to do with."""

    def __init__(self, client: Client, batches: Batches, prefix: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._batches = batches
        self._bucket = tiers.accounts_bucket(prefix)
        self._clock = clock
        self._known: dict[AccountId, _Known] = {}

    def touch(self, account: AccountId, hours_us: Iterable[int], at_us: int) -> None:
        """These hours hold something that their rollups do not."""
        known = self._known.get(account)
        if known is not None:
            known.touch(hours_us, at_us)

    def forget(self, account: AccountId) -> None:
        """What is known may not be all; look anew."""
        self._known.pop(account, None)

    async def hours(self, account: AccountId) -> Mapping[int, Touched]:
        """The account's stale hours by their start."""
        return await self._load(account)

    async def _load(self, account: AccountId) -> dict[int, Touched]:
        while True:
            known = self._known.setdefault(account, _Known())
            if not known.is_loaded:
                since_us = await self._rolled_until(account) - MARGIN_US
                for touch in await self._batches.touches(account, since_us):
                    known.touch(touch.hours_us, touch.at_us)
                known.is_loaded = True
            if self._known.get(account) is known:
                return known.hours

    async def rolled(self, account: AccountId, hours: Mapping[int, int]) -> None:
        """The rollups of these hours are made, as they were when touched so many times."""
        known = await self._load(account)
        for hour_us, times in hours.items():
            if hour_us in known and known[hour_us].times == times:
                del known[hour_us]
        now_us = microseconds(self._clock())
        until_us = min((touched.first_us for touched in known.values()), default=now_us)
        line = f"rolled,account={names.account_tag(account)} until_us={until_us}i 0"
        await self._client.write(self._bucket, [line])

    async def _rolled_until(self, account: AccountId) -> int:
        question = Select(
            account=account, measurement="rolled", columns=(Column("until_us"),), start_us=FIRST_US, end_us=LAST_US
        )
        (tables,) = await self._client.select(self._bucket, question)
        oldest_us = microseconds(self._clock() - _OLDEST_TOUCH)
        return max([oldest_us, *(int(row[1]) for table in tables for row in table.rows)])
