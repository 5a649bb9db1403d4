"""`GET /v1/sites`: the farms of an account."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from backend.api.route import Call, Query
from backend.registry import sites
from backend.registry.site_tables import Site as Row


class Site(BaseModel):
    """One farm."""

    site: str
    name: str
    last_batch_at: datetime | None
    paused: bool
    time_zone: str  # whose days are counted
    tariff_per_kwh: float | None
    currency: str | None
    lan_url: str | None  # of the agent's page at the site

    @classmethod
    def of(cls, row: Row) -> Self:
        """As it is kept."""
        return cls(
            site=row.id,
            name=row.name,
            last_batch_at=row.last_batch_at,
            paused=row.paused_at is not None,
            time_zone=row.time_zone,
            tariff_per_kwh=row.tariff_per_kwh,
            currency=row.currency,
            lan_url=row.lan_url,
        )


class SitesReply(BaseModel):
    """Ordered by name."""

    sites: list[Site]


async def listed(call: Call[Query]) -> SitesReply:
    """The account's sites."""
    async with call.services.database.read() as session:
        found = await sites.listed(session, call.account)
    return SitesReply(sites=[Site.of(site) for site in found])
