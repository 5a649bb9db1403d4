"""`GET /v1/totals`: what sites tell that send no readings of single machines."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from pydantic import BaseModel, Field

from agent import wire
from backend.api.moments import Moment
from backend.api.problems import Problem
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.registry import sites
from backend.store.protocol import TooManyPoints

_SPAN: Final = timedelta(hours=1)


class TotalsQuery(Query):
    """From (included) to (excluded), of one site or of all."""

    start: Annotated[Moment | None, Field(alias="from")] = None  # default: an hour before `to`
    end: Annotated[Moment | None, Field(alias="to")] = None  # default: now
    site: str | None = None  # id or name


class SiteTotal(BaseModel):
    """A poll of a site as it told it, or of its machines of one make and model."""

    site: str
    total: wire.Aggregate


class TotalsReply(BaseModel):
    """Ordered by time, site and group, the whole site first."""

    totals: list[SiteTotal]


async def listed(call: Call[TotalsQuery]) -> TotalsReply:
    """Totals and percentiles of groups of five machines and more."""
    asked, site = call.query, None
    end = asked.end or call.now
    try:
        start = asked.start or end - _SPAN
    except OverflowError as error:
        raise Problem(400, "to: there is no such time", kind="query") from error
    if start >= end:
        raise Problem(400, "from: it has to be before to", kind="query")
    if asked.site is not None:
        async with call.services.database.read() as session:
            site = SiteId((await sites.find(session, call.account, asked.site)).id)
    most = call.services.settings.limits.series_points
    try:
        found = await call.services.store.told(call.account, start=start, end=end, site=site, most=most)
    except TooManyPoints as error:
        raise Problem(422, f"more than {most} totals: ask for less time", kind="too-many-points") from error
    return TotalsReply(totals=[SiteTotal(site=one.site, total=one.total) for one in found])
