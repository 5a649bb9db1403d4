"""Takes a part of an account away: a site, a machine, a time, or what of each meets.

Raw points go first, then what was worked out of them. Of rollups whole hours go. Sites' totals that a machine was part
of are marked before its rollups go and worked out without it afterwards: until then, and for ever when this is killed
in between, they are not believed, and the rollups of the machines that are left are asked instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.ids import AccountId
from backend.store.influx import names
from backend.store.influx.client import Client
from backend.store.influx.facts import day_us
from backend.store.influx.past import Tally, count
from backend.store.influx.queries import FIRST_US, LAST_US, Column, Delete, Select, Tag, Tags
from backend.store.influx.rollup import ENERGY, FIELDS_OF_TOTAL, GONE, MEAN_SCALE, METRIC_NAMES
from backend.store.influx.schema import DAY_US, HOUR_US, Measurement
from backend.store.influx.tiers import Grain
from backend.store.influx.times import microseconds
from backend.store.protocol import Part

_DAYS_AT_ONCE: Final = 10
_MEANS: Final = tuple(f"{name}_{part}" for name in METRIC_NAMES for part in ("sum", "count"))

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Erasure:
    """A part of an account to erase."""

    client: Client
    account: AccountId
    part: Part

    @property
    def edges_us(self) -> list[int]:
        """Hours of which something may be left: their rollups have to be made anew."""
        ends = [end for end in (self.part.start, self.part.end) if end is not None]
        return [microseconds(end) // HOUR_US * HOUR_US for end in ends if microseconds(end) % HOUR_US]

    async def erase_raw(self, buckets: Iterable[str], tally: Tally) -> None:
        """From buckets of raw points."""
        start_us, end_us = self._bounds()
        for bucket in buckets:
            found = await count(
                self.client, self.account, "raw", bucket, start_us=start_us, end_us=end_us, tags=self._tags()
            )
            if found is None:
                continue
            await self._delete(bucket, start_us, end_us, "machine", "board")
            if self.part.machine is None:  # of five machines and more: it tells of none
                await self._delete(bucket, start_us, end_us, "told")
            # Facts stand at the start of their day and are those of all its readings.
            await self._delete(bucket, -(-start_us // DAY_US) * DAY_US, max(day_us(end_us), start_us), "facts")
            tally.add(*found)

    async def erase_rollups(self, grain: Grain, buckets: Iterable[str], tally: Tally) -> None:
        """From buckets of rollups of one grain."""
        start_us, end_us = self._bounds()
        start_us, end_us = start_us // HOUR_US * HOUR_US, min(-(-end_us // HOUR_US) * HOUR_US, LAST_US)
        for bucket in buckets:
            found = await count(
                self.client, self.account, grain, bucket, start_us=start_us, end_us=end_us, tags=self._tags()
            )
            if found is None:
                continue
            if self.part.machine is None:
                await self._delete(bucket, start_us, end_us, "rollup", "total")
            else:
                _, first_us, last_us = found
                for from_us in range(first_us, last_us + 1, _DAYS_AT_ONCE * DAY_US):
                    await self._take_out(bucket, from_us, min(from_us + _DAYS_AT_ONCE * DAY_US, last_us + 1))
            tally.add(*found)

    async def _take_out(self, bucket: str, start_us: int, end_us: int) -> None:
        """A machine's rollups, and what it added to its sites' totals."""
        taken = await self._rows(bucket, "rollup", _MEANS, self._tags(), start_us, end_us)
        of_site: list[tuple[Tag, str]] = [("site", self.part.site)] if self.part.site is not None else []
        totals = await self._rows(bucket, "total", FIELDS_OF_TOTAL, of_site, start_us, end_us)
        totals = {place: total for place, total in totals.items() if place in taken}
        await self._write(bucket, {place: {GONE: 1} for place in totals})
        await self._delete(bucket, start_us, end_us, "rollup")
        await self._write(bucket, {place: _less(total, taken[place]) for place, total in totals.items()})

    async def _rows(
        self,
        bucket: str,
        measurement: Measurement,
        fields: Sequence[str],
        tags: Sequence[tuple[Tag, str]],
        start_us: int,
        end_us: int,
    ) -> dict[tuple[str, int], Row]:
        """Points by site and time."""
        fields = tuple(dict.fromkeys((ENERGY, *fields)))
        question = Select(
            account=self.account,
            measurement=measurement,
            columns=tuple(Column(name) for name in fields),
            start_us=start_us,
            end_us=end_us,
            tags=Tags(tuple((tag, (value,)) for tag, value in tags)),
            by=("site",),
        )
        (tables,) = await self.client.select(bucket, question)
        return {
            (table.tags["site"], time_us): dict(zip(fields, values, strict=True))
            for table in tables
            for time_us, *values in table.rows
        }

    async def _write(self, bucket: str, totals: Mapping[tuple[str, int], Row]) -> None:
        account = names.account_tag(self.account)
        lines = []
        for (site, time_us), total in totals.items():
            fields = ",".join(f"{name}={value}i" for name, value in total.items() if value is not None)
            lines.append(f"total,account={account},site={names.tag(site)} {fields} {time_us}")
        await self.client.write(bucket, lines)

    async def _delete(self, bucket: str, start_us: int, end_us: int, *measurements: Measurement) -> None:
        if start_us >= end_us:
            return
        tags = tuple(self._tags())
        for measurement in measurements:
            await self.client.delete(
                bucket,
                Delete(account=self.account, measurement=measurement, start_us=start_us, end_us=end_us, tags=tags),
            )

    def _tags(self) -> list[tuple[Tag, str]]:
        found: list[tuple[Tag, str]] = []
        if self.part.site is not None:
            found.append(("site", self.part.site))
        if self.part.machine is not None:
            found.append(("machine", self.part.machine))
        return found

    def _bounds(self) -> tuple[int, int]:
        return (
            FIRST_US if self.part.start is None else max(microseconds(self.part.start), FIRST_US),
            LAST_US if self.part.end is None else min(microseconds(self.part.end), LAST_US),
        )


def _less(total: Row, rollup: Row) -> Row:
    """A total without one machine."""
    left = dict(total)  # with what was marked before: a total that was not believed stays so
    if total[ENERGY] is not None and rollup[ENERGY] is not None:
        left[ENERGY] = total[ENERGY] - rollup[ENERGY]
    for name in METRIC_NAMES:
        means, machines = f"{name}_sum", f"{name}_count"
        if rollup[means] is not None and total[means] is not None and total[machines]:
            mean = rollup[means] / rollup[machines]
            left[machines] = total[machines] - 1
            # The sum was rounded as a whole: of the last machine nothing may stay.
            left[means] = total[means] - round(mean * MEAN_SCALE) if left[machines] else 0
    return left
