"""Legal disclosures: recorded, approved by two, handed over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.api import exports
from backend.api.registering import Body, body
from backend.api.route import Call, Query
from backend.privacy import disclosing
from backend.registry.rights_tables import LegalDisclosure

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class DemandRequest(Body):
    """Who demands what of whom, and on what basis."""

    account: Id
    authority: Annotated[str, StringConstraints(max_length=200)]
    basis: Annotated[str, StringConstraints(max_length=500)]


class DisclosureRequest(Body):
    """Which one."""

    disclosure: Id


class DisclosureQuery(Query):
    """Which one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    disclosure: Id


class Disclosure(BaseModel):
    """Handed over only when both approvals are there."""

    disclosure: str
    account: str
    authority: str
    basis: str
    recorded_by: str
    recorded_at: datetime
    first_by: str | None
    second_by: str | None
    handed_over_by: str | None
    handed_over_at: datetime | None


class DisclosuresReply(BaseModel):
    """Newest first."""

    disclosures: list[Disclosure]


async def record(call: Call[Query]) -> Disclosure:
    """A demand came."""
    sent = await body(call, DemandRequest)
    async with call.services.database.begin() as session:
        made = await disclosing.record(
            session, call.staff, account=sent.account, authority=sent.authority, basis=sent.basis, now=call.now
        )
    return _shown(made)


async def listed(call: Call[Query]) -> DisclosuresReply:
    """All of them."""
    async with call.services.database.read() as session:
        return DisclosuresReply(disclosures=[_shown(one) for one in await disclosing.listed(session)])


async def approve(call: Call[Query]) -> Disclosure:
    """One of two."""
    sent = await body(call, DisclosureRequest)
    async with call.services.database.begin() as session:
        return _shown(await disclosing.approve(session, call.staff, sent.disclosure, now=call.now))


async def prepare(call: Call[Query]) -> exports.Export:
    """Have the archive made."""
    sent = await body(call, DisclosureRequest)
    async with call.services.database.begin() as session:
        return exports.shown(await disclosing.prepare(session, call.staff, sent.disclosure, now=call.now))


async def handed_over(call: Call[DisclosureQuery]) -> web.Response:
    """The archive itself."""
    async with call.services.database.begin() as session:
        found = await disclosing.hand_over(session, call.staff, call.query.disclosure, now=call.now)
        content = call.services.exports.content(found)  # before it is written down that it left
    return exports.sent(content, f"{call.query.disclosure}.zip")


def _shown(row: LegalDisclosure) -> Disclosure:
    return Disclosure(
        disclosure=row.id,
        account=row.account_id,
        authority=row.authority,
        basis=row.basis,
        recorded_by=row.recorded_by,
        recorded_at=row.recorded_at,
        first_by=row.first_by,
        second_by=row.second_by,
        handed_over_by=row.handed_over_by,
        handed_over_at=row.handed_over_at,
    )
