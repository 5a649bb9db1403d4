"""`GET /v1/warnings`: what fires now, and what did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from backend.api.moments import Moment
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.registry import sites, warnings
from backend.registry.warning_tables import Warning as Row


class WarningsQuery(Query):
    """Which ones."""

    state: warnings.Which = "active"
    since: Moment | None = None  # fired or resolved at or after it
    site: str | None = None  # id or name
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class WarningQuery(Query):
    """Which one; in the address."""

    warning: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Warning(BaseModel):
    """One warning."""

    id: str
    rule: str
    severity: str
    site: str
    machine: str | None  # absent: the site as a whole
    model: str | None
    value: float | None  # what met the rule when it fired
    threshold: float | None
    since: datetime  # when the condition began
    started_at: datetime  # when the warning fired
    acknowledged_at: datetime | None  # somebody cares for it
    resolved_at: datetime | None
    resolution: str | None  # why it ended: recovered, paused, switched_off, new_key


class WarningsReply(BaseModel):
    """Newest first."""

    warnings: list[Warning]


async def listed(call: Call[WarningsQuery]) -> WarningsReply:
    """The account's warnings."""
    query = call.query
    async with call.services.database.read() as session:
        site = None if query.site is None else SiteId((await sites.find(session, call.account, query.site)).id)
        found = await warnings.listed(
            session, call.account, which=query.state, site=site, since=query.since, limit=query.limit
        )
    return WarningsReply(warnings=[shown(one) for one in found])


def shown(row: Row) -> Warning:
    """A warning as it is answered."""
    return Warning(
        id=row.id,
        rule=row.rule,
        severity=row.severity,
        site=row.site_id,
        machine=row.machine or None,
        model=row.model,
        value=row.value,
        threshold=row.threshold,
        since=row.since,
        started_at=row.started_at,
        acknowledged_at=row.acknowledged_at,
        resolved_at=row.resolved_at,
        resolution=row.resolution,
    )
