"""`GET /v1/sites`: the farms of an account."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from backend.api.route import Call, Query
from backend.registry import sites


class Site(BaseModel):
    """One farm."""

    site: str
    name: str
    last_batch_at: datetime | None
    paused: bool


class SitesReply(BaseModel):
    """Ordered by name."""

    sites: list[Site]


async def listed(call: Call[Query]) -> SitesReply:
    """The account's sites."""
    async with call.services.database.read() as session:
        found = await sites.listed(session, call.account)
    return SitesReply(
        sites=[
            Site(site=site.id, name=site.name, last_batch_at=site.last_batch_at, paused=site.paused_at is not None)
            for site in found
        ]
    )
