"""What of an account goes because its time is past; or stays, because of a legal hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.ids import AccountId
from backend.store import told
from backend.store.influx import names
from backend.store.influx.client import Client
from backend.store.influx.facts import day_us
from backend.store.influx.queries import FIRST_US, LAST_US, Column, Delete, Function, Select, Tag, Tags
from backend.store.influx.rollup import FIELDS_OF_ROLLUP, FIELDS_OF_TOTAL
from backend.store.influx.schema import BOARD_FIELDS, DAY_US, HOUR_US, MACHINE_FIELDS, METRIC_DECIMALS, Measurement
from backend.store.influx.tiers import Grain
from backend.store.influx.times import microseconds, moment
from backend.store.protocol import DataClass, Hold, Removed

COUNTED: Final[dict[Grain, dict[Measurement, str]]] = {
    "raw": {"machine": "is_reachable", "told": "machines"},
    "5m": {"rollup": "is_reachable_count"},
    "1h": {"rollup": "is_reachable_count"},
}
"""What a row is, by grain: measurements, and of each a field that every point of it has."""

_KEPT: Final[dict[Measurement, tuple[tuple[Tag, ...], tuple[str, ...]]]] = {
    "machine": (("machine", "site"), tuple(dict.fromkeys((*MACHINE_FIELDS, *METRIC_DECIMALS)))),
    "board": (("board", "machine", "site"), BOARD_FIELDS),
    "told": (("group", "site"), told.FIELDS),
    "facts": (("digest", "machine", "site"), ("json",)),
    "rollup": (("machine", "site"), FIELDS_OF_ROLLUP),
    "total": (("site",), FIELDS_OF_TOTAL),
}
"""Tags and fields of what a hold keeps."""
_OF_GRAIN: Final[dict[Grain, tuple[Measurement, ...]]] = {
    "raw": ("machine", "board", "told", "facts"),
    "5m": ("rollup", "total"),
    "1h": ("rollup", "total"),
}
_COPIED_US: Final = HOUR_US // 4
"""Time that goes through memory at once."""


@dataclass(slots=True)
class Tally:
    """What is gone of one class."""

    rows: int = 0
    first_us: int | None = None
    last_us: int | None = None

    def add(self, rows: int, first_us: int, last_us: int) -> None:
        """Count these in."""
        self.rows += rows
        self.first_us = first_us if self.first_us is None else min(self.first_us, first_us)
        self.last_us = last_us if self.last_us is None else max(self.last_us, last_us)

    def removed(self, data_class: DataClass) -> list[Removed]:
        """As the audit trail has it; the server does not tell what space it gives back."""
        if self.first_us is None or self.last_us is None:
            return []
        return [Removed(data_class, moment(self.first_us), moment(self.last_us), self.rows, 0)]


@dataclass(frozen=True, slots=True)
class Past:
    """One account's data of one grain that is older than `before_us`."""

    client: Client
    account: AccountId
    grain: Grain
    before_us: int

    async def sweep(self, bucket: str, held_bucket: str, hold: Hold | None, tally: Tally) -> None:
        """Take it out of a bucket of a tier; what is held goes to the other bucket first."""
        found = await count(self.client, self.account, self.grain, bucket, end_us=self.before_us)
        if found is None:
            return
        rows, first_us, last_us = found
        kept = 0
        if hold is not None:
            from_us = max(first_us, FIRST_US if hold.start is None else microseconds(hold.start))
            to_us = min(self.before_us, LAST_US if hold.end is None else microseconds(hold.end))
            kept = await self._keep(bucket, held_bucket, from_us, to_us)
        await self._delete(bucket)
        if rows > kept:
            tally.add(rows - kept, first_us, last_us)

    async def release(self, held_bucket: str, hold: Hold | None, tally: Tally) -> None:
        """Take out of the bucket of what was held what is held no longer."""
        ends = [(FIRST_US, LAST_US)]
        if hold is not None:
            from_us = FIRST_US if hold.start is None else microseconds(hold.start)
            to_us = LAST_US if hold.end is None else microseconds(hold.end)
            ends = [(FIRST_US, from_us), (to_us, LAST_US)]
        for start_us, end_us in ends:
            found = await count(self.client, self.account, self.grain, held_bucket, start_us=start_us, end_us=end_us)
            if found is not None:
                for measurement in _OF_GRAIN[self.grain]:
                    await self.client.delete(
                        held_bucket,
                        Delete(account=self.account, measurement=measurement, start_us=start_us, end_us=end_us),
                    )
                tally.add(*found)

    async def _delete(self, bucket: str) -> None:
        for measurement in _OF_GRAIN[self.grain]:
            # Facts stand at the start of their day and are those of readings until its end.
            end_us = day_us(self.before_us) if measurement == "facts" else self.before_us
            await self.client.delete(bucket, Delete(account=self.account, measurement=measurement, end_us=end_us))

    async def _keep(self, bucket: str, held_bucket: str, from_us: int, to_us: int) -> int:
        """Copy a time, a piece at once, oldest first; how many rows. Doing it again changes nothing."""
        kept = 0
        for day, next_day in _pieces(day_us(from_us), to_us, DAY_US):
            start_us, end_us = max(day, from_us), min(next_day, to_us)
            if await count(self.client, self.account, self.grain, bucket, start_us=start_us, end_us=end_us) is None:
                continue
            for measurement in _OF_GRAIN[self.grain]:
                if measurement == "facts":
                    await self._copy(measurement, bucket, held_bucket, day, next_day)
                    continue
                for piece in _pieces(start_us, end_us, _COPIED_US):
                    copied = await self._copy(measurement, bucket, held_bucket, *piece)
                    kept += copied if measurement in COUNTED[self.grain] else 0
        return kept

    async def _copy(self, measurement: Measurement, bucket: str, held_bucket: str, start_us: int, end_us: int) -> int:
        lines = await self._lines(bucket, measurement, start_us, end_us)
        await self.client.write(held_bucket, lines)
        return len(lines)

    async def _lines(self, bucket: str, measurement: Measurement, start_us: int, end_us: int) -> list[str]:
        tags, fields = _KEPT[measurement]
        question = Select(
            account=self.account,
            measurement=measurement,
            columns=tuple(Column(name) for name in fields),
            start_us=start_us,
            end_us=end_us,
            by=tags,
        )
        (tables,) = await self.client.select(bucket, question)
        account = names.account_tag(self.account)
        return [
            f"{measurement},account={account},{_tagged(tags, table.tags)} {_fields(fields, values)} {time_us}"
            for table in tables
            for time_us, *values in table.rows
        ]


async def count(
    client: Client,
    account: AccountId,
    grain: Grain,
    bucket: str,
    *,
    start_us: int = FIRST_US,
    end_us: int = LAST_US,
    tags: Sequence[tuple[Tag, str]] = (),
) -> tuple[int, int, int] | None:
    """How many rows there are, and the times of the first and the last; None for none."""

    def question(measurement: Measurement, field: str, function: Function) -> Select:
        return Select(
            account=account,
            measurement=measurement,
            columns=(Column(field, function),),
            start_us=start_us,
            end_us=end_us,
            tags=Tags(tuple((tag, (value,)) for tag, value in tags)),
        )

    asked: tuple[Function, ...] = ("count", "first", "last")
    kinds = COUNTED[grain].items()
    answers = await client.select(bucket, *(question(*kind, function) for kind in kinds for function in asked))
    rows, firsts, lasts = (
        [table.rows[0] for tables in answers[place :: len(asked)] for table in tables] for place in range(len(asked))
    )
    if not rows:
        return None
    return sum(int(row[1]) for row in rows), min(int(row[0]) for row in firsts), max(int(row[0]) for row in lasts)


def _pieces(from_us: int, to_us: int, length_us: int) -> Iterator[tuple[int, int]]:
    for start_us in range(from_us, to_us, length_us):
        yield start_us, min(start_us + length_us, to_us)


def _tagged(tags: Sequence[Tag], values: dict[str, str]) -> str:
    return ",".join(f"{tag}={names.tag(values[tag])}" for tag in tags)


def _fields(fields: Sequence[str], values: Sequence[Any]) -> str:
    return ",".join(
        f"{field}={names.text(value) if isinstance(value, str) else f'{value}i'}"
        for field, value in zip(fields, values, strict=True)
        if value is not None
    )
