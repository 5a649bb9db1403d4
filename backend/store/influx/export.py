"""Reads an account's readings back for an export, a day and some machines at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.wire import MachineId, Reading
from backend.ids import AccountId, SiteId
from backend.store.exchange import File, readings, totals_part
from backend.store.influx import rows
from backend.store.influx.client import Client
from backend.store.influx.exchange import table
from backend.store.influx.facts import day_us
from backend.store.influx.past import count
from backend.store.influx.queries import LAST_US, Column, Select
from backend.store.influx.schema import DAY_US
from backend.store.influx.sitetotals import SiteTotals
from backend.store.influx.times import moment
from backend.store.protocol import ExportPart, Format

_MACHINES_AT_ONCE: Final = 20
"""Their readings of a day are about ten megabytes of answer."""


@dataclass(frozen=True, slots=True)
class Export:
    """Readings from `start_us` to `end_us` out of buckets, the one written to first."""

    client: Client
    account: AccountId
    buckets: Sequence[str]
    start_us: int
    end_us: int | None
    format: Format

    async def parts(self) -> AsyncIterator[ExportPart]:
        """A file a day that has readings, oldest first."""
        end_us = LAST_US if self.end_us is None else self.end_us
        counted = [
            await count(self.client, self.account, "raw", bucket, start_us=self.start_us, end_us=end_us)
            for bucket in self.buckets
        ]
        found = [one for one in counted if one is not None]
        if not found:
            return
        first_us, last_us = min(one[1] for one in found), max(one[2] for one in found)
        for day in range(day_us(first_us), last_us + 1, DAY_US):
            start_us, stop_us = max(day, self.start_us), min(day + DAY_US, end_us)
            machines = await self._machines(start_us, stop_us)
            if machines:
                name = f"readings-{moment(day).date()}.{self.format}"
                yield ExportPart(name, self._chunks(machines, start_us, stop_us))
        totals = SiteTotals(self.client, self.account, self.buckets, self.start_us)
        start, end = moment(self.start_us), None if self.end_us is None else moment(self.end_us)
        for told_day in await totals.days(end_us):
            yield totals_part(told_day, start, end, self.format, totals.of)

    async def _chunks(self, machines: Sequence[MachineId], start_us: int, end_us: int) -> AsyncIterator[bytes]:
        file = File(readings(self.format), self.format)
        for first in range(0, len(machines), _MACHINES_AT_ONCE):
            asked = rows.questions(self.account, start_us, end_us, machines=machines[first : first + _MACHINES_AT_ONCE])
            found: rows.Found = {}
            for bucket in reversed(self.buckets):
                answers = await self.client.select(bucket, *asked)
                found |= await asyncio.to_thread(rows.readings, *answers)
            in_order = [(site, found[machine, site, time_us]) for machine, site, time_us in sorted(found, key=_order)]
            yield await asyncio.to_thread(_added, file, in_order, self.format)
        yield await asyncio.to_thread(file.end)

    async def _machines(self, start_us: int, end_us: int) -> list[MachineId]:
        question = Select(
            account=self.account,
            measurement="machine",
            columns=(Column("is_reachable", "count"),),
            start_us=start_us,
            end_us=end_us,
            by=("machine",),
        )
        found: set[str] = set()
        for bucket in self.buckets:
            (tables,) = await self.client.select(bucket, question)
            found.update(table.tags["machine"] for table in tables)
        return [MachineId(machine) for machine in sorted(found)]


def _added(file: File, rows: Sequence[tuple[SiteId, Reading]], format: Format) -> bytes:
    return file.add(table(rows, format))


def _order(place: tuple[MachineId, object, int]) -> tuple[MachineId, int]:
    return place[0], place[2]
