"""Requests about personal data: of members, of who wrote a letter, and what staff make of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from backend.accounts import staff as people
from backend.api import asking
from backend.api.registering import Body, Email, body, done
from backend.api.route import Call, Query
from backend.ids import AccountId
from backend.privacy import requests
from backend.privacy.requests import Kind, Outcome
from backend.registry.account_tables import Member
from backend.registry.rights_tables import Request as Row

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(max_length=5_000)]


class AskRequest(Body):
    """What is wanted, in words where the kind does not say it all."""

    kind: Kind
    details: Text = ""


class WrittenRequest(AskRequest):
    """A letter: who signed it, when it came, and the account that it is about, where that is known."""

    requester: Email
    received_at: AwareDatetime
    account: Id | None = None


class IdentifyRequest(Body):
    """How the requester showed who they are."""

    request: Id
    how: Annotated[str, StringConstraints(max_length=500)]


class AnswerRequest(Body):
    """What was done, or why it is refused."""

    request: Id
    outcome: Outcome
    answer: Text


class ConfirmQuery(Query):
    """What the link in the mail carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    token: Annotated[str, StringConstraints(max_length=200)]


class RequestQuery(Query):
    """Which one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    request: Id


class Asked(BaseModel):
    """A request as staff see it in a list: nothing of who asks."""

    request: str
    account: str | None
    kind: str
    came_by: str
    received_at: datetime
    due_at: datetime
    identified_at: datetime | None
    answered_at: datetime | None
    outcome: str | None


class Request(Asked):
    """With what it says."""

    member: str | None
    requester: str | None
    details: str
    identified_how: str | None
    answer: str | None


class AskedReply(BaseModel):
    """Newest first."""

    requests: list[Asked]


class RequestsReply(BaseModel):
    """Newest first."""

    requests: list[Request]


async def ask(call: Call[Query]) -> Request:
    """A member asks."""
    sent = await body(call, AskRequest)
    async with call.services.database.begin() as session:
        member = await session.get_one(Member, call.member)
        made = await requests.ask(session, member, sent.kind, sent.details, due_in=_due_in(call), now=call.now)
    return _whole(made)


async def own(call: Call[Query]) -> RequestsReply:
    """The member's own; an owner's are those of the account."""
    everybodys = call.bearer_known.role == "owner"
    async with call.services.database.read() as session:
        found = await requests.listed(session, account=call.account, member=None if everybodys else call.member)
    return RequestsReply(requests=[_whole(one) for one in found])


async def record(call: Call[Query]) -> Asked:
    """A letter came."""
    sent = await body(call, WrittenRequest)
    services = call.services
    async with services.database.begin() as session:
        made = await requests.record_written(
            session,
            call.staff,
            kind=sent.kind,
            requester=sent.requester,
            account=AccountId(sent.account) if sent.account is not None else None,
            details=sent.details,
            received_at=sent.received_at,
            due_in=_due_in(call),
            public_url=services.public_url,
            now=call.now,
        )
    return _brief(made)


async def listed(call: Call[Query]) -> AskedReply:
    """All of them, without who asks."""
    async with call.services.database.read() as session:
        return AskedReply(requests=[_brief(one) for one in await requests.listed(session)])


async def opened(call: Call[RequestQuery]) -> Request:
    """One with all it says; under a grant, when it is about an account."""
    async with call.services.database.read() as session:
        found = await requests.find(session, call.query.request)
        if found.account_id is not None:
            await people.require_grant(session, call.staff, found.account_id, now=call.now)
    return _whole(found)


async def identify(call: Call[Query]) -> web.Response:
    """It is known who asks."""
    sent = await body(call, IdentifyRequest)
    async with call.services.database.begin() as session:
        await requests.identify(session, call.staff, sent.request, sent.how, now=call.now)
    return done()


async def answer(call: Call[Query]) -> web.Response:
    """Close it."""
    sent = await body(call, AnswerRequest)
    async with call.services.database.begin() as session:
        await requests.answer(session, call.staff, sent.request, sent.outcome, sent.answer, now=call.now)
    call.services.wake()
    return done()


async def ask_to_confirm(call: Call[ConfirmQuery]) -> web.Response:
    """For people who follow the link: a button, since programs follow links too."""
    tongue = asking.tongue(call)
    return asking.page(
        call,
        tongue,
        title=tongue.say("Was it you who wrote to us about your data?"),
        text=tongue.say("We answer only to the person whose data it is."),
        button=tongue.say("Yes, it was me"),
    )


async def confirm(call: Call[ConfirmQuery]) -> web.Response:
    """It was they who wrote."""
    async with call.services.database.begin() as session:
        await requests.confirm(session, call.query.token, now=call.now)
    tongue = asking.tongue(call)
    told = tongue.say("We go on with your request.")
    return asking.page(call, tongue, title=tongue.say("Thank you."), text=told)


def _due_in(call: Call[Query]) -> timedelta:
    return timedelta(days=call.services.settings.privacy.request_days)


def _brief(row: Row) -> Asked:
    return Asked(
        request=row.id,
        account=row.account_id,
        kind=row.kind,
        came_by=row.came_by,
        received_at=row.received_at,
        due_at=row.due_at,
        identified_at=row.identified_at,
        answered_at=row.answered_at,
        outcome=row.outcome,
    )


def _whole(row: Row) -> Request:
    return Request(
        **_brief(row).model_dump(),
        member=row.member_id,
        requester=row.requester,
        details=row.details,
        identified_how=row.identified_how,
        answer=row.answer,
    )
