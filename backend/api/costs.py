"""`GET /v1/costs`: what sites took yesterday, or on other days, and what it cost; and what a site's kWh costs."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from backend import costs
from backend.api.problems import Problem
from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.registry import sites

_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]
_EARLIEST: Final = date(2009, 1, 3)
"""No miner hashed before."""


class CostsQuery(Query):
    """The `days` that end with `day`, of one site or of all; without a day they end with each site's yesterday."""

    site: str | None = None  # id or name
    day: date | None = None
    days: Annotated[int, Field(ge=1, le=366)] = 1


class SiteCost(BaseModel):
    """One site's days, both ends counted, in its own time zone."""

    site: str
    site_name: str
    first_day: date
    last_day: date
    time_zone: str
    energy_kwh: float | None  # absent: no machine told its power
    tariff_per_kwh: float | None
    currency: str | None
    cost: float | None  # absent without energy or without a tariff
    machines: int  # heard from since the first day began
    machines_unmetered: int  # of them, those that answer and tell no power: what they took is not in it


class Total(BaseModel):
    """Sites of one currency together; without one: those that have no tariff."""

    currency: str | None
    energy_kwh: float
    cost: float | None


class CostsReply(BaseModel):
    """Sites by name."""

    costs: list[SiteCost]
    totals: list[Total]


class SiteChangeRequest(Body):
    """What is to be another way; what is left out stays. Null forgets what may be unknown."""

    site: Annotated[str, StringConstraints(min_length=1, max_length=200)]  # id or name
    name: _Text | None = None
    time_zone: _Text | None = None  # such as Asia/Shanghai
    tariff_per_kwh: float | None = None
    currency: _Text | None = None  # ISO 4217
    lan_url: _Text | None = None  # of the agent's page at the site


async def listed(call: Call[CostsQuery]) -> CostsReply:
    """Energy and money."""
    asked = call.query
    async with call.services.database.read() as session:
        if asked.site is None:
            of = list(await sites.listed(session, call.account))
        else:
            of = [await sites.find(session, call.account, asked.site)]
    today = costs.today({site.time_zone for site in of}, call.now)
    if asked.day is not None and not _EARLIEST + timedelta(days=asked.days) <= asked.day <= today:
        raise Problem(400, f"day: a day from {_EARLIEST} to today", kind="query")
    found = await costs.costs(call.services.store, call.account, of, last=asked.day, days=asked.days, now=call.now)
    return CostsReply(
        costs=[
            SiteCost(
                site=one.site,
                site_name=one.name,
                first_day=one.first,
                last_day=one.last,
                time_zone=one.time_zone,
                energy_kwh=one.energy_kwh,
                tariff_per_kwh=one.tariff_per_kwh,
                currency=one.currency,
                cost=one.cost,
                machines=one.machines,
                machines_unmetered=one.unmetered,
            )
            for one in found
        ],
        totals=[Total(currency=one.currency, energy_kwh=one.energy_kwh, cost=one.cost) for one in costs.sums(found)],
    )


async def change(call: Call[Query]) -> web.Response:
    """A site's name, time zone, tariff, the address of its agent's page."""
    sent = await body(call, SiteChangeRequest)
    may_be_unknown = {"tariff_per_kwh", "currency", "lan_url"}
    given = {name: getattr(sent, name) for name in sent.model_fields_set if name != "site"}
    changes = {name: value for name, value in given.items() if value is not None or name in may_be_unknown}
    async with call.services.database.begin() as session:
        await sites.change(session, call.account, sent.site, changes)
    return done()
