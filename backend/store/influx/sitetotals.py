"""What sites told in place of readings (`backend.store.told`), on the server: one point a poll and site, or group.

A group is its make and model, with a mark between them that neither can have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Final

from agent.wire import Aggregate
from backend.ids import AccountId, SiteId
from backend.store import told
from backend.store.influx import names
from backend.store.influx.client import Client
from backend.store.influx.queries import Column, Select, Tags
from backend.store.influx.rollup import GAP_US
from backend.store.influx.schema import DAY_US
from backend.store.influx.series import first_step_us, step_us
from backend.store.influx.times import microseconds, moment
from backend.store.protocol import SeriesQuery, Told, TooManyPoints

_MARK: Final = "|"
_MOST: Final = 1_000_000
_WHOLE: Final = _MARK
"""The group that is the whole site."""
_US_WATTS_IN_KWH: Final = 3.6e12


def lines(account: AccountId, site: str, totals: Iterable[Aggregate]) -> list[str]:
    """As line protocol."""
    tags = f"account={names.account_tag(account)}"
    found = []
    for total in totals:
        fields = ",".join(f"{name}={value}i" for name, value in told.values(total).items() if value is not None)
        group = names.tag(f"{total.make or ''}{_MARK}{total.model or ''}")
        found.append(f"told,{tags},group={group},site={names.tag(site)} {fields} {microseconds(total.time)}")
    return found


@dataclass(frozen=True, slots=True)
class SiteTotals:
    """One account's, in buckets (the one written to first), from `from_us` on."""

    client: Client
    account: AccountId
    buckets: Sequence[str]
    from_us: int

    async def of(self, start: datetime, end: datetime) -> list[Told]:
        """All of a span."""
        return await self.rows(start, end, None, _MOST)

    async def rows(self, start: datetime, end: datetime, site: SiteId | None, most: int) -> list[Told]:
        """Answer `Store.told`."""
        question = Select(
            account=self.account,
            measurement="told",
            columns=tuple(Column(name) for name in told.FIELDS),
            start_us=max(microseconds(start), self.from_us),
            end_us=microseconds(end),
            tags=Tags.where(site=site),
            by=("group", "site"),
            most=most + 1,
        )
        found: dict[tuple[int, str, str], Aggregate] = {}
        for bucket in reversed(self.buckets):
            (tables,) = await self.client.select(bucket, question)
            for table in tables:
                group, of_site = table.tags["group"], table.tags["site"]
                make, _, model = group.partition(_MARK)
                for time_us, *values in table.rows:
                    row = dict(zip(told.FIELDS, values, strict=True))
                    total = told.total_of(moment(time_us), make or None, model or None, row)
                    found[time_us, of_site, group] = total
            if len(found) > most:
                raise TooManyPoints(f"there are more than {most} totals")
        in_order = sorted(found, key=lambda place: (place[0], place[1], place[2].split(_MARK)))
        return [Told(SiteId(place[1]), found[place]) for place in in_order]

    async def steps(self, query: SeriesQuery, field: str) -> told.Told:
        """The mean of a field of each site's whole totals, by step."""
        question = Select(
            account=self.account,
            measurement="told",
            columns=(Column(field, "sum"), Column(field, "count")),
            start_us=max(first_step_us(query), self.from_us),
            end_us=microseconds(query.end),
            tags=Tags((*Tags.where(site=query.site).of, ("group", (_WHOLE,)))),
            by=("site",),
            step_us=step_us(query),
        )
        parts: defaultdict[tuple[SiteId, datetime], list[int]] = defaultdict(lambda: [0, 0])
        for bucket in self.buckets:
            (tables,) = await self.client.select(bucket, question)
            for table in tables:
                for time_us, total, count in table.rows:
                    step = parts[SiteId(table.tags["site"]), moment(time_us)]
                    step[0] += total
                    step[1] += count
        found: defaultdict[SiteId, dict[datetime, float]] = defaultdict(dict)
        for (site, at), (total, count) in parts.items():
            found[site][at] = total / count / told.scale(field)
        return found

    async def energy(self, start_us: int, end_us: int, length_us: int, site: SiteId | None) -> told.Told:
        """The kWh of each site by step: each whole total's power over the time since the one before it."""
        start_us = max(start_us, self.from_us)
        question = Select(
            account=self.account,
            measurement="told",
            columns=(Column("machines"), Column(told.POWER)),  # the first is in every point
            start_us=start_us - GAP_US,
            end_us=end_us,
            tags=Tags((*Tags.where(site=site).of, ("group", (_WHOLE,)))),
            by=("site",),
        )
        powers: defaultdict[SiteId, dict[int, float | None]] = defaultdict(dict)
        for bucket in reversed(self.buckets):  # of a total in several buckets the newest holds
            (tables,) = await self.client.select(bucket, question)
            for table in tables:
                powers[SiteId(table.tags["site"])].update((time_us, power) for time_us, _, power in table.rows)
        scale = told.scale(told.POWER) * _US_WATTS_IN_KWH
        found: dict[SiteId, dict[datetime, float]] = {}
        for of_site, of_times in powers.items():
            steps: defaultdict[datetime, float] = defaultdict(float)
            for before_us, time_us in pairwise(sorted(of_times)):
                power = of_times[time_us]
                if time_us >= start_us and time_us - before_us <= GAP_US and power is not None:
                    steps[moment(time_us // length_us * length_us)] += power * (time_us - before_us) / scale
            if steps:
                found[of_site] = steps
        return found

    async def days(self, end_us: int) -> list[date]:
        """The days that there are any of."""
        question = Select(
            account=self.account,
            measurement="told",
            columns=(Column("machines", "count"),),
            start_us=self.from_us,
            end_us=end_us,
            step_us=DAY_US,
        )
        found: set[date] = set()
        for bucket in self.buckets:
            (tables,) = await self.client.select(bucket, question)
            found.update(moment(time_us).date() for table in tables for time_us, _ in table.rows)
        return sorted(found)
