"""Corrections: by the member, by an owner for the account, by staff for who asked in writing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.ids import AccountId
from backend.privacy import correcting, requests
from backend.privacy.correcting import OWNERS, Field
from backend.registry.account_tables import Member
from backend.registry.errors import Forbidden, Invalid

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class CorrectRequest(Body):
    """Which field, and what is right; a site's name with its site."""

    field: Field
    value: Annotated[str, StringConstraints(min_length=1, max_length=254)]
    site: Id | None = None


class StaffCorrectRequest(CorrectRequest):
    """For a request for correction whose requester is known."""

    request: Id


class CorrectReply(BaseModel):
    """It is right now, or when the new contact is confirmed."""

    is_corrected: bool


class ConfirmRequest(Body):
    """What came to the new address or phone."""

    field: Literal["email", "phone"]
    code: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Correction(BaseModel):
    """That a field was corrected."""

    correction: str
    subject: str
    field: str
    at: datetime
    by: str
    request: str | None


class CorrectionsReply(BaseModel):
    """Newest first."""

    corrections: list[Correction]


async def correct(call: Call[Query]) -> CorrectReply:
    """One's own data, or an owner the account's. A new contact has to be confirmed."""
    sent = await body(call, CorrectRequest)
    correcting.require_right(sent.field, call.bearer_known.role)
    return await _correct(call, sent, call.account, call.member, by=call.member, request=None)


async def correct_for(call: Call[Query]) -> CorrectReply:
    """By staff, for who asked in writing."""
    sent = await body(call, StaffCorrectRequest)
    async with call.services.database.read() as session:
        request, account = await requests.open_one(session, sent.request, "correction")
    return await _correct(call, sent, account, request.member_id, by=call.staff, request=request.id)


async def confirm(call: Call[Query]) -> web.Response:
    """The new contact is theirs."""
    sent = await body(call, ConfirmRequest)
    async with call.services.database.begin() as session:
        member = await session.get_one(Member, call.member)
        is_theirs = await correcting.confirm(session, member, sent.field, sent.code, now=call.now)
    if not is_theirs:  # outside, so that a wrong try stays counted
        raise Forbidden("this is not what was sent, or too late: begin anew")
    return done()


async def listed(call: Call[Query]) -> CorrectionsReply:
    """One's own; an owner sees the account's."""
    subject = None if call.bearer_known.role == "owner" else call.member
    async with call.services.database.read() as session:
        found = await correcting.listed(session, call.account, subject=subject)
    return CorrectionsReply(
        corrections=[
            Correction(
                correction=one.id, subject=one.subject, field=one.field, at=one.at, by=one.by, request=one.request_id
            )
            for one in found
        ]
    )


async def _correct(
    call: Call[Query], sent: CorrectRequest, account: AccountId, member: str | None, *, by: str, request: str | None
) -> CorrectReply:
    async with call.services.database.begin() as session:
        if sent.field in OWNERS:
            await correcting.of_account(
                session, account, sent.field, sent.value, site=sent.site, by=by, request=request, now=call.now
            )
            return CorrectReply(is_corrected=True)
        found = await session.get(Member, member) if member is not None else None
        if found is None:
            raise Invalid("it is not known which member asks")
        made = await correcting.of_member(session, found, sent.field, sent.value, by=by, request=request, now=call.now)
    call.services.wake()
    return CorrectReply(is_corrected=made is not None)
