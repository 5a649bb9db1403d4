"""Which batches are stored, and what they touched.

After a batch's lines are durable two points are written: its id, by which it is known when it comes again, and the
hours that it touched, by which every process knows which rollups are out of date. Lines without them were never
acknowledged, come again, and change nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from backend.ids import AccountId, SiteId
from backend.store.influx import names, tiers
from backend.store.influx.client import Client
from backend.store.influx.queries import LAST_US, Column, Select, Tags
from backend.store.influx.schema import HOUR_US
from backend.store.influx.times import microseconds

_SLOTS: Final = 128
"""Ids are spread over so many series, so that looking for one reads few of the others."""


@dataclass(frozen=True, slots=True)
class Touch:
    """Somebody changed hours of a site: stored a batch, or erased (then `site` may be None: any)."""

    at_us: int
    site: SiteId | None
    writer: str
    hours_us: tuple[int, ...]


class Batches:
    """Batches of all accounts."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._bucket = tiers.batches_bucket(prefix)
        self.writer: Final = secrets.token_hex(6)
        """This process, among those that write to the same server."""

    async def known(self, account: AccountId, batch: UUID, *, now: datetime) -> bool:
        """Whether a batch is stored."""
        question = Select(
            account=account,
            measurement="batch",
            columns=(Column("id"),),
            start_us=microseconds(now - timedelta(days=tiers.BATCHES_DAYS)),
            end_us=LAST_US,
            tags=Tags((("slot", (_slot(batch),)),)),
            fields=(("id", batch.hex),),
            newest=1,
        )
        (tables,) = await self._client.select(self._bucket, question)
        return bool(tables)

    async def stored(
        self, account: AccountId, site: SiteId, batch: UUID, hours_us: Iterable[int], *, now: datetime
    ) -> None:
        """Write that a batch is stored and what it touched."""
        # The time within the second is the id's, so that two batches of one moment are two points.
        at_ns = microseconds(now) // 1_000_000 * 1_000_000_000 + batch.int % 1_000_000_000
        account_tag, site_tag = names.account_tag(account), names.tag(site)
        await self._client.write(
            self._bucket,
            [
                f'batch,account={account_tag},site={site_tag},slot={_slot(batch)} id="{batch.hex}" {at_ns}',
                f"touched,account={account_tag},site={site_tag} {self._touch(hours_us)} {at_ns}",
            ],
            precision="ns",
        )

    async def erased(self, account: AccountId, hours_us: Iterable[int] = (), *, now: datetime) -> None:
        """Write that something of the account is gone: what any process remembers of it no longer holds."""
        line = f"touched,account={names.account_tag(account)} {self._touch(hours_us)} {microseconds(now)}000"
        await self._client.write(self._bucket, [line], precision="ns")

    async def touches(self, account: AccountId, since_us: int) -> list[Touch]:
        """What was touched since then, oldest first."""
        question = Select(
            account=account,
            measurement="touched",
            columns=(Column("hours"), Column("writer")),
            start_us=since_us,
            end_us=LAST_US,
            by=("site",),
        )
        (tables,) = await self._client.select(self._bucket, question)
        found = [
            Touch(at_us, SiteId(table.tags["site"]) or None, writer, _decoded(hours))
            for table in tables
            for at_us, hours, writer in table.rows
        ]
        return sorted(found, key=lambda touch: touch.at_us)

    def _touch(self, hours_us: Iterable[int]) -> str:
        numbers = " ".join(str(hour_us // HOUR_US) for hour_us in sorted(hours_us))
        return f'hours={names.text(numbers)},writer="{self.writer}"'


def _decoded(hours: str) -> tuple[int, ...]:
    return tuple(int(number) * HOUR_US for number in hours.split())


def _slot(batch: UUID) -> str:
    return f"{(batch.int >> 64) % _SLOTS:x}"
