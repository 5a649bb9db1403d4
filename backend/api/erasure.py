"""Deleting: readings of a site, a machine or a time; or the whole account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, StringConstraints

from agent.wire import MachineId
from backend.api.registering import Body, body
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.privacy import erasing
from backend.registry import sites
from backend.registry.account_tables import Account
from backend.registry.errors import Invalid
from backend.registry.privacy_tables import Receipt as Row
from backend.store.protocol import Part

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class EraseRequest(Body):
    """What is of this site, and of this machine, and of `start` ≤ time < `end`; one of them at least. Or a member.

    A site alone goes itself, and its agent is locked out.
    """

    member: Id | None = None
    site: Id | None = None
    machine: Annotated[str, StringConstraints(pattern=r"^mnr-[0-9a-hjkmnp-tv-z]{16}$")] | None = None
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None


class Receipt(BaseModel):
    """What was deleted, without what it was."""

    receipt: str
    scope: dict[str, Any]
    removed: dict[str, Any]
    erased_at: datetime


class ReceiptsReply(BaseModel):
    """Newest first."""

    receipts: list[Receipt]


class CancelReply(BaseModel):
    """To be read before: what stays, and what has to be typed."""

    name: str
    stays: list[str]


class CancelRequest(Body):
    """The account's name, so that nobody does it by mistake."""

    name: Id


async def erase(call: Call[Query]) -> Receipt:
    """Delete a member or a part of the account, in every store."""
    sent = await body(call, EraseRequest)
    if sent.member is not None:
        if any((sent.site, sent.machine, sent.start, sent.end)):
            raise Invalid("a member, or a site, machine or time: not both at once")
        database = call.services.database
        return _shown(await erasing.erase_member(database, call.account, sent.member, actor=call.member, now=call.now))
    site = None
    if sent.site is not None:
        async with call.services.database.read() as session:
            site = SiteId((await sites.find(session, call.account, sent.site)).id)
    machine = MachineId(sent.machine) if sent.machine is not None else None
    part = Part(site=site, machine=machine, start=sent.start, end=sent.end)
    services = call.services
    made = await erasing.erase_part(
        services.database, services.store, call.account, part, actor=call.member, now=call.now
    )
    return _shown(made)


async def receipts(call: Call[Query]) -> ReceiptsReply:
    """What was deleted so far."""
    async with call.services.database.read() as session:
        found = await erasing.receipts(session, call.account)
    return ReceiptsReply(receipts=[_shown(one) for one in found])


async def before_cancelling(call: Call[Query]) -> CancelReply:
    """What stays when the account is cancelled."""
    async with call.services.database.read() as session:
        account = await session.get_one(Account, call.account)
    return CancelReply(name=account.name, stays=list(erasing.STAYS))


async def cancel(call: Call[Query]) -> Receipt:
    """Erase the account for good."""
    sent = await body(call, CancelRequest)
    services = call.services
    async with services.database.read() as session:
        account = await session.get_one(Account, call.account)
    if sent.name.strip() != account.name:
        raise Invalid("this is not the account's name: nothing was deleted")
    made = await erasing.cancel(
        services.database,
        services.store,
        call.account,
        erased_file=services.settings.erased_file,
        actor=call.member,
        now=call.now,
    )
    return _shown(made)


def _shown(row: Row) -> Receipt:
    return Receipt(receipt=row.id, scope=row.scope, removed=row.removed, erased_at=row.erased_at)
