"""Makes the rollups of hours that are stale and over."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from agent.wire import MachineId
from backend.ids import AccountId
from backend.store.influx import names, rollup
from backend.store.influx.client import Client, Table
from backend.store.influx.queries import Column, Select, Tags
from backend.store.influx.rollup import GAP_US, METRIC_NAMES, STEPS_US, Key, Step, Totals
from backend.store.influx.schema import HOUR_US
from backend.store.influx.stale import Stale, Touched
from backend.store.influx.times import microseconds, moment

_GRACE_US: Final = 120_000_000
"""After an hour's end, for the last polls to come."""
_SETTLED_US: Final = 60_000_000
"""An hour that a backlog still comes into waits until it has come."""
_MACHINES_AT_ONCE: Final = 100
"""Their points of an hour are about a megabyte of answer."""

log = structlog.get_logger()


class Roller:
    """Reads raw buckets, writes the rollups' ones."""

    def __init__(self, client: Client, stale: Stale) -> None:
        self._client = client
        self._stale = stale

    async def roll(
        self,
        account: AccountId,
        *,
        now: datetime,
        raw: Sequence[str],
        raw_window: timedelta,
        into: Mapping[Step, str],
    ) -> None:
        """Make the rollups that are due. Safe to stop anywhere and to do twice at once.

        An hour that the raw window has begun to leave stays as it was made: what is gone cannot be counted again.
        """
        now_us = microseconds(now)
        hours = {
            hour_us: touched.times
            for hour_us, touched in (await self._stale.hours(account)).items()
            if _is_due(hour_us, touched, now_us)
        }
        if not hours:
            return
        oldest_us = microseconds(now - raw_window)
        for hour_us in sorted(hours):
            if hour_us >= oldest_us:
                await self._roll_hour(account, hour_us, raw, into)
        await self._stale.rolled(account, hours)
        log.info("influx.rolled", account=account, hours=len(hours), oldest=moment(min(hours)).isoformat())

    async def _roll_hour(self, account: AccountId, hour_us: int, raw: Sequence[str], into: Mapping[Step, str]) -> None:
        machines = await self._machines(account, hour_us, raw)
        totals = Totals()
        for first in range(0, len(machines), _MACHINES_AT_ONCE):
            chunk = machines[first : first + _MACHINES_AT_ONCE]
            rows = await self._rows(account, hour_us, raw, chunk)
            lines = await asyncio.to_thread(_lines, account, hour_us, rows, totals)
            await self._write(lines, into)
        await self._write(totals.lines(names.account_tag(account)), into)

    async def _machines(self, account: AccountId, hour_us: int, raw: Sequence[str]) -> list[MachineId]:
        question = Select(
            account=account,
            measurement="machine",
            columns=(Column("is_reachable", "count"),),
            start_us=hour_us,
            end_us=hour_us + HOUR_US,
            by=("machine",),
        )
        found: set[str] = set()
        for bucket in raw:
            (tables,) = await self._client.select(bucket, question)
            found.update(table.tags["machine"] for table in tables)
        return [MachineId(machine) for machine in sorted(found)]

    async def _rows(
        self, account: AccountId, hour_us: int, raw: Sequence[str], machines: Sequence[MachineId]
    ) -> dict[Key, list[list[Any]]]:
        """Points of the hour and the gap before it; of a point in several buckets that of the newest."""
        question = Select(
            account=account,
            measurement="machine",
            columns=tuple(Column(name) for name in METRIC_NAMES),
            start_us=hour_us - GAP_US,
            end_us=hour_us + HOUR_US,
            tags=Tags.where(machines=machines),
            by=("machine", "site"),
        )
        found: defaultdict[Key, dict[int, list[Any]]] = defaultdict(dict)
        for bucket in reversed(raw):
            (tables,) = await self._client.select(bucket, question)
            for table in tables:
                found[_key(table)].update((row[0], row) for row in table.rows)
        return {key: list(rows.values()) for key, rows in found.items()}

    async def _write(self, lines: Mapping[Step, Sequence[str]], into: Mapping[Step, str]) -> None:
        for step in STEPS_US:
            await self._client.write(into[step], lines[step])


def _is_due(hour_us: int, touched: Touched, now_us: int) -> bool:
    is_over = hour_us + HOUR_US + _GRACE_US <= now_us
    return is_over and abs(now_us - touched.last_us) >= _SETTLED_US


def _lines(
    account: AccountId, hour_us: int, rows: Mapping[Key, list[list[Any]]], totals: Totals
) -> dict[Step, list[str]]:
    return rollup.of_machines(names.account_tag(account), rollup.points_of(rows, hour_us), totals)


def _key(table: Table) -> Key:
    return table.tags["machine"], table.tags["site"]
