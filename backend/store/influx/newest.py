"""The newest reading of each machine: remembered here, because asking for all their fields takes a second a thousand.

What is remembered is true: this process sees its own writes, and before each answer looks whether another one
touched the account; then it asks anew.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agent.wire import MachineId, Reading
from backend.ids import AccountId, SiteId
from backend.store.influx import rows
from backend.store.influx.batches import Batches
from backend.store.influx.client import Client, Table
from backend.store.influx.lineprotocol import microseconds
from backend.store.influx.queries import LAST_US, Column, Select
from backend.store.protocol import Latest

_MARGIN_US: Final = 600_000_000
"""How much two processes' clocks may differ, and a touch be late."""
_BOARDS_TO_LOOK_THROUGH: Final = 3
"""A poll may be written between the answers for machines and for boards."""


@dataclass(slots=True, eq=False)
class _Known:
    """What is remembered of one account."""

    of: dict[MachineId, Latest] = field(default_factory=dict)
    touches: set[tuple[int, str]] = field(default_factory=set)  # of others, seen already
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

    def __init__(self, client: Client, batches: Batches, clock: Callable[[], datetime], *, most: int = 50_000) -> None:
        self._client = client
        self._batches = batches
        self._clock = clock
        self._most = most
        self._known: OrderedDict[AccountId, _Known] = OrderedDict()

    def took(self, account: AccountId, site: SiteId, readings: Iterable[Reading]) -> None:
        """These are stored now."""
        known = self._known.get(account)
        if known is not None:
            known.take(site, readings)

    def forget(self, account: AccountId) -> None:
        """Something of the account is gone."""
        self._known.pop(account, None)

    async def of(self, account: AccountId, buckets: Sequence[str], window: timedelta) -> list[Latest]:
        """The newest reading of each machine, ordered by machine, none older than the window."""
        known = self._known.get(account)
        if known is not None and known.is_loaded and await self._is_touched(account, known):
            self.forget(account)
        oldest = self._clock() - window
        while True:
            known = self._known.setdefault(account, _Known())
            if not known.is_loaded:
                await self._is_touched(account, known)  # what was touched before is in what is loaded
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

    async def _is_touched(self, account: AccountId, known: _Known) -> bool:
        """Whether another process touched the account since this was asked last."""
        since_us = microseconds(self._clock()) - _MARGIN_US
        touches = await self._batches.touches(account, since_us)
        foreign = {(touch.at_us, touch.writer) for touch in touches if touch.writer != self._batches.writer}
        is_new = not foreign <= known.touches
        known.touches = foreign
        return is_new

    def _shrink(self) -> None:
        while len(self._known) > 1 and sum(len(known.of) for known in self._known.values()) > self._most:
            self._known.popitem(last=False)

    async def _load(self, account: AccountId, buckets: Sequence[str], oldest: datetime) -> list[tuple[SiteId, Reading]]:
        found: dict[str, tuple[SiteId, Reading]] = {}
        for bucket in buckets:
            for site, reading in await self._load_from(account, bucket, microseconds(oldest)):
                known = found.get(reading.machine)
                if known is None or reading.time > known[1].time:
                    found[reading.machine] = (site, reading)
        return list(found.values())

    async def _load_from(self, account: AccountId, bucket: str, start_us: int) -> list[tuple[SiteId, Reading]]:
        asked: dict[str, Any] = {"account": account, "end_us": LAST_US}
        machines, boards, texts = await self._client.select(
            bucket,
            Select(
                measurement="machine",
                columns=rows.MACHINE_COLUMNS,
                by=("machine", "site"),
                newest=1,
                start_us=start_us,
                **asked,
            ),
            Select(
                measurement="board",
                columns=rows.BOARD_COLUMNS,
                by=("machine", "site", "board"),
                newest=_BOARDS_TO_LOOK_THROUGH,
                start_us=start_us,
                **asked,
            ),
            Select(
                measurement="facts",
                columns=(Column("json"),),
                by=("machine", "digest"),
                newest=1,
                start_us=start_us - 86_400_000_000,  # they stand at the start of their day
                **asked,
            ),
        )
        return _joined(machines, boards, texts)


def _joined(machines: list[Table], boards: list[Table], texts: list[Table]) -> list[tuple[SiteId, Reading]]:
    boards_at: defaultdict[tuple[str, str, int], dict[int, rows.Values]] = defaultdict(dict)
    for table in boards:
        tags = table.tags
        for row in table.rows:
            boards_at[tags["machine"], tags["site"], row[0]][int(tags["board"])] = row
    facts_of: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for table in texts:
        facts_of[table.tags["machine"]][int(table.tags["digest"])] = table.rows[0][1]
    found = []
    for table in machines:
        machine, site = table.tags["machine"], table.tags["site"]
        (row,) = table.rows
        reading = rows.reading(machine, row, boards_at[machine, site, row[0]], facts_of[machine])
        found.append((SiteId(site), reading))
    return found
