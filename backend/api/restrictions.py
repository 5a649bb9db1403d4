"""Restriction of processing: keep the data, use it for nothing; and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.ids import AccountId
from backend.privacy import requests, restricting

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class RestrictRequest(Body):
    """On or off; on with a reason."""

    is_restricted: bool
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class StaffRestrictRequest(RestrictRequest):
    """For a request for restriction whose requester is known: of the account, or of the member who asks only."""

    request: Id
    of_account: bool


class Restriction(BaseModel):
    """From when to when; `member` absent: of the whole account."""

    restriction: str
    member: str | None
    reason: str
    since: datetime
    by: str
    lifted_at: datetime | None
    lifted_by: str | None


class RestrictionsReply(BaseModel):
    """What holds now for who asks, and what held before, newest first."""

    is_account_restricted: bool
    am_i_restricted: bool
    history: list[Restriction]


async def listed(call: Call[Query]) -> RestrictionsReply:
    """The account's and the member's own; not those of others."""
    async with call.services.database.read() as session:
        found = await restricting.history(session, call.account)
    mine = [one for one in found if one.member_id in (None, call.member)]
    holding = {one.member_id for one in mine if one.lifted_at is None}
    return RestrictionsReply(
        is_account_restricted=None in holding,
        am_i_restricted=bool(holding),
        history=[
            Restriction(
                restriction=one.id,
                member=one.member_id,
                reason=one.reason,
                since=one.since,
                by=one.by,
                lifted_at=one.lifted_at,
                lifted_by=one.lifted_by,
            )
            for one in mine
        ],
    )


async def of_account(call: Call[Query]) -> web.Response:
    """Of all that the account has."""
    return await _switch(call, await body(call, RestrictRequest), call.account, None, call.member)


async def of_member(call: Call[Query]) -> web.Response:
    """Of the own contacts."""
    return await _switch(call, await body(call, RestrictRequest), call.account, call.member, call.member)


async def on_request(call: Call[Query]) -> web.Response:
    """By staff, for who asked in writing."""
    sent = await body(call, StaffRestrictRequest)
    async with call.services.database.read() as session:
        request, account = await requests.open_one(session, sent.request, "restriction")
    return await _switch(call, sent, account, None if sent.of_account else request.member_id, call.staff)


async def _switch(
    call: Call[Query], sent: RestrictRequest, account: AccountId, member: str | None, by: str
) -> web.Response:
    async with call.services.database.begin() as session:
        if sent.is_restricted:
            await restricting.restrict(session, account, member, reason=sent.reason, by=by, now=call.now)
        else:
            await restricting.lift(session, account, member, by=by, now=call.now)
    return done()
