"""The inside of the page that says what sites took and what it cost: yesterday, unless asked for other days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from pydantic import Field

from backend.api import costs
from backend.api.route import Call
from backend.console import files
from backend.console.parts import Part, may
from backend.costs import today as begun

SPANS: Final = (1, 7, 30)
"""Days that one click shows together."""


class Choice(files.Anything):
    """What a link of the page says."""

    day: date | None = None
    days: int = Field(default=1, ge=1, le=366)


async def _costs(call: Call[Any]) -> Mapping[str, object]:
    """Energy and money, a row a site, and the sums."""
    query = costs.CostsQuery(day=call.query.day, days=call.query.days)
    found = await costs.listed(Call(call.request, call.services, query, call.bearer, call.now))
    last = max((one.last_day for one in found.costs), default=call.now.date() - timedelta(days=1))
    today = begun({one.time_zone for one in found.costs}, call.now)
    return {
        "found": found,
        "last": last,
        "days": query.days,
        "spans": SPANS,
        "before": last - timedelta(days=query.days),
        "after": last + timedelta(days=query.days) if last + timedelta(days=query.days) <= today else None,
        "may_change": may(call, "manage"),
    }


PARTS: Final = (
    Part(
        name="costs",
        title="Costs",
        access="read",
        summary="What sites took and what it cost, as HTML",
        shows=_costs,
        query=Choice,
    ),
)
"""For the table of pages."""
