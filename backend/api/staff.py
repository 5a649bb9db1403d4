"""What the service's own people may do: grants, members under a grant, the erasure of a child's account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.accounts import staff
from backend.api.people import MembersReply
from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.ids import AccountId
from backend.privacy import erasing
from backend.registry import account_tables, accounts, members

log = structlog.get_logger()

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class GrantRequest(Body):
    """Which account, why, and for how long."""

    account: Id
    reason: Annotated[str, StringConstraints(max_length=500)]
    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1


class Grant(BaseModel):
    """A look at one account, for a while."""

    grant: str
    staff: str
    account: str
    reason: str
    starts_at: datetime
    ends_at: datetime


class GrantsReply(BaseModel):
    """Newest first."""

    grants: list[Grant]


class GrantIdRequest(Body):
    """Which one."""

    grant: Id


class AccountRequest(Body):
    """Which account."""

    account: Id


class AccountQuery(Query):
    """Whose members."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    account: Id


class Colleague(BaseModel):
    """One of the staff."""

    staff: str
    role: str
    email: str
    created_at: datetime
    ended_at: datetime | None


class StaffReply(BaseModel):
    """Oldest first, former ones too."""

    staff: list[Colleague]


async def open_grant(call: Call[Query]) -> Grant:
    """Begin to look at an account."""
    sent = await body(call, GrantRequest)
    async with call.services.database.begin() as session:
        opened = await staff.open_grant(
            session,
            call.staff,
            sent.account,
            reason=sent.reason,
            hours=sent.hours,
            most_hours=call.services.settings.staff.grant_h,
            now=call.now,
        )
    log.info("grant.opened", grant=opened.id, staff=call.staff, account=opened.account_id)
    return _grant(opened)


async def end_grant(call: Call[Query]) -> web.Response:
    """End one's own before its time."""
    sent = await body(call, GrantIdRequest)
    async with call.services.database.begin() as session:
        await staff.end_grant(session, call.staff, sent.grant, now=call.now)
    return done()


async def own_grants(call: Call[Query]) -> GrantsReply:
    """Those of who asks that hold now."""
    async with call.services.database.read() as session:
        found = await staff.grants(session, now=call.now, staff=call.staff)
    return GrantsReply(grants=[_grant(one) for one in found])


async def all_grants(call: Call[Query]) -> GrantsReply:
    """Everybody's, past ones too."""
    async with call.services.database.read() as session:
        found = await staff.grants(session)
    return GrantsReply(grants=[_grant(one) for one in found])


async def listed(call: Call[Query]) -> StaffReply:
    """All of the staff."""
    async with call.services.database.read() as session:
        found = await staff.listed(session)
    return StaffReply(
        staff=[
            Colleague(staff=one.id, role=one.role, email=one.email, created_at=one.created_at, ended_at=one.ended_at)
            for one in found
        ]
    )


async def members_of(call: Call[AccountQuery]) -> MembersReply:
    """An account's members, under a grant."""
    account = AccountId(call.query.account)
    async with call.services.database.read() as session:
        grant = await staff.require_grant(session, call.staff, account, now=call.now)
        found = await members.listed(session, account)
    log.info("personal_data.seen", grant=grant.id, staff=call.staff, account=account)
    return MembersReply.of(found)


async def erase_child(call: Call[Query]) -> web.Response:
    """Erase an account that was found to belong to a child under 14."""
    sent = await body(call, AccountRequest)
    services = call.services
    async with services.database.read() as session:
        account = await accounts.find(session, sent.account)
    await erasing.cancel(
        services.database,
        services.store,
        AccountId(account.id),
        erased_file=services.settings.erased_file,
        actor=call.staff,
        now=call.now,
    )
    log.info("account.erased", account=account.id, staff=call.staff, reason="child")
    return done()


def _grant(opened: account_tables.Grant) -> Grant:
    return Grant(
        grant=opened.id,
        staff=opened.staff_id,
        account=opened.account_id,
        reason=opened.reason,
        starts_at=opened.starts_at,
        ends_at=opened.ends_at,
    )
