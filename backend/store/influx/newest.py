"""The newest reading of each machine: remembered here, because asking for all their fields takes a second a thousand.

This process sees its own writes; when `Watch` finds that another one touched the account, it is forgotten and asked
for anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.wire import MachineId, Reading
from backend.ids import AccountId, SiteId
from backend.store.influx import rows
from backend.store.influx.client import Client
from backend.store.influx.queries import LAST_US
from backend.store.influx.times import microseconds
from backend.store.protocol import Latest


@dataclass(slots=True, eq=False)
class _Known:
    """What is remembered of one account."""

    of: dict[MachineId, Latest] = field(default_factory=dict)
    is_loaded: bool = False

    def take(self, site: SiteId, readings: Iterable[Reading]) -> None:
        """Remember those that are newer than what is known."""
        for reading in readings:
            machine = MachineId(reading.machine)
            known = self.of.get(machine)
            if known is None or reading.time >= known.reading.time:
                self.of[machine] = Latest(site, reading)


class Newest:
    """Of all accounts, as many machines as `most`."""

    def __init__(self, client: Client, clock: Callable[[], datetime], *, most: int = 50_000) -> None:
        self._client = client
        self._clock = clock
        self._most = most
        self._known: OrderedDict[AccountId, _Known] = OrderedDict()

    def took(self, account: AccountId, site: SiteId, readings: Iterable[Reading]) -> None:
        """These are stored now."""
        known = self._known.get(account)
        if known is not None:
            known.take(site, readings)

    def forget(self, account: AccountId) -> None:
        """What is remembered may be wrong."""
        self._known.pop(account, None)

    async def of(self, account: AccountId, buckets: Sequence[str], window: timedelta) -> list[Latest]:
        """The newest reading of each machine, ordered by machine, none older than the window."""
        oldest = self._clock() - window
        while True:
            known = self._known.setdefault(account, _Known())
            if not known.is_loaded:
                for site, reading in await self._load(account, buckets, oldest):
                    # What was taken while this was asked for is as new or newer.
                    machine = MachineId(reading.machine)
                    if machine not in known.of or known.of[machine].reading.time < reading.time:
                        known.of[machine] = Latest(site, reading)
                known.is_loaded = True
            if self._known.get(account) is known:
                break
        self._known.move_to_end(account)
        self._shrink()
        return [known.of[machine] for machine in sorted(known.of) if known.of[machine].reading.time >= oldest]

    def _shrink(self) -> None:
        while len(self._known) > 1 and sum(len(known.of) for known in self._known.values()) > self._most:
            self._known.popitem(last=False)

    async def _load(self, account: AccountId, buckets: Sequence[str], oldest: datetime) -> list[tuple[SiteId, Reading]]:
        found: rows.Found = {}
        for bucket in reversed(buckets):
            asked = rows.questions(account, microseconds(oldest), LAST_US, is_newest=True)
            found |= rows.readings(*await self._client.select(bucket, *asked))
        return [
            (site, found[machine, site, time_us]) for machine, site, time_us in sorted(found, key=lambda one: one[2])
        ]
