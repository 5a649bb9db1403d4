"""`GET` and `PUT /v1/declared`: the machines that members say they have, and what was found instead."""

from __future__ import annotations

from typing import Annotated, Self

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints, model_validator

from agent.wire import MachineId
from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.registry import sites
from backend.warnings import inventory
from backend.warnings.inventory import Entry

Pseudonym = Annotated[str, StringConstraints(pattern=r"^mnr-[0-9a-hjkmnp-tv-z]{16}$")]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
_Long = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Declared(Body):
    """So many machines of one model at one site; `machines` names some of them, where that is known."""

    site: Annotated[str, StringConstraints(min_length=1, max_length=200)]  # id or name
    brand: _Text
    category: _Text | None = None
    model: _Text
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    machines: Annotated[tuple[Pseudonym, ...], Field(max_length=1_000)] = ()
    pool: _Long | None = None
    tariff: _Long | None = None  # what a kWh costs, in the member's own words

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if len(set(self.machines)) != len(self.machines):
            raise ValueError("a machine is named twice")
        if len(self.machines) > self.quantity:
            raise ValueError("more machines are named than there are")
        return self


class DeclareRequest(Body):
    """All that is declared: what is not in it is declared no more."""

    declared: Annotated[list[Declared], Field(max_length=1_000)]


class Discovered(BaseModel):
    """Machines of one model that were seen in the last 24 hours."""

    site: str
    make: str | None
    model: str | None
    quantity: int


class Difference(BaseModel):
    """Of one declaration, or (`declared` 0) of machines that none declares."""

    site: str
    brand: str | None
    model: str | None
    declared: int
    seen: int  # in the last 24 hours
    never_seen: int
    missing: list[MachineId]  # seen before, and not in the last 24 hours
    unknown: list[MachineId]


class DeclaredReply(BaseModel):
    """Both, and what differs; a site of which nothing is declared differs in nothing."""

    declared: list[Declared]
    discovered: list[Discovered]
    difference: list[Difference]


async def listed(call: Call[Query]) -> DeclaredReply:
    """What is declared, what was found, and the difference."""
    reply = DeclaredReply(declared=[], discovered=[], difference=[])
    async with call.services.database.read() as session:
        for row in await inventory.declared(session, call.account):
            reply.declared.append(
                Declared(
                    site=row.site_id,
                    brand=row.brand,
                    category=row.category,
                    model=row.model,
                    quantity=row.quantity,
                    machines=tuple(row.machines),
                    pool=row.pool,
                    tariff=row.tariff,
                )
            )
        for site in await sites.listed(session, call.account):
            groups, differences = await inventory.compared(session, call.account, SiteId(site.id), now=call.now)
            reply.discovered += [
                Discovered(site=each.site, make=each.make, model=each.model, quantity=each.quantity) for each in groups
            ]
            reply.difference += [
                Difference(
                    site=each.site,
                    brand=each.brand,
                    model=each.model,
                    declared=each.declared,
                    seen=each.seen,
                    never_seen=each.never_seen,
                    missing=[MachineId(machine) for machine in each.missing],
                    unknown=[MachineId(machine) for machine in each.unknown],
                )
                for each in differences
            ]
    return reply


async def declare(call: Call[Query]) -> web.Response:
    """Declare these machines, in place of what was declared before."""
    sent = await body(call, DeclareRequest)
    async with call.services.database.begin() as session:
        entries = [
            Entry(
                site=SiteId((await sites.find(session, call.account, each.site)).id),
                brand=each.brand,
                category=each.category,
                model=each.model,
                quantity=each.quantity,
                machines=each.machines,
                pool=each.pool,
                tariff=each.tariff,
            )
            for each in sent.declared
        ]
        await inventory.declare(session, call.account, entries, now=call.now)
    return done()
