"""Who saw personal data: the audit log for those it is about, and for those who watch over it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.privacy import audit, digests, processors

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class LogQuery(Query):
    """`after`: a place in the log; `account`: of one account only."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    after: Annotated[int, Field(ge=0)] = 0


class Entry(BaseModel):
    """One access."""

    seq: int
    at: datetime
    actor: str
    action: str
    account: str | None
    subject: str | None
    outcome: str


class LogReply(BaseModel):
    """Newest first."""

    entries: list[Entry]


class Digest(BaseModel):
    """What administrators were sent; unsigned until one of them read it."""

    digest: str
    from_seq: int
    to_seq: int
    head: str
    counts: dict[str, Any]
    created_at: datetime
    signed_by: str | None
    signed_at: datetime | None


class DigestsReply(BaseModel):
    """Newest first."""

    digests: list[Digest]


class SignRequest(Body):
    """Which one was read."""

    digest: Id


class Processor(BaseModel):
    """Who handles personal data for the service."""

    name: str
    gets: str
    why: str
    registered_at: datetime
    ended_at: datetime | None
    deleted_at: datetime | None


class ProcessorsReply(BaseModel):
    """By name."""

    processors: list[Processor]


async def own_log(call: Call[LogQuery]) -> LogReply:
    """Who saw what of the account's people: members, staff, jobs."""
    return await _log(call, call.account)


async def whole_log(call: Call[LogQuery]) -> LogReply:
    """All accesses."""
    return await _log(call, None)


async def digests_listed(call: Call[Query]) -> DigestsReply:
    """All digests."""
    async with call.services.database.read() as session:
        found = await digests.listed(session)
    return DigestsReply(
        digests=[
            Digest(
                digest=one.id,
                from_seq=one.from_seq,
                to_seq=one.to_seq,
                head=one.head,
                counts=one.counts,
                created_at=one.created_at,
                signed_by=one.signed_by,
                signed_at=one.signed_at,
            )
            for one in found
        ]
    )


async def sign(call: Call[Query]) -> web.Response:
    """Say that one was read."""
    sent = await body(call, SignRequest)
    async with call.services.database.begin() as session:
        await digests.sign(session, sent.digest, call.staff, now=call.now)
    return done()


async def processors_listed(call: Call[Query]) -> ProcessorsReply:
    """Who handles personal data for the service, for everybody to see."""
    async with call.services.database.read() as session:
        found = await processors.listed(session)
    return ProcessorsReply(
        processors=[
            Processor(
                name=one.name,
                gets=one.gets,
                why=one.why,
                registered_at=one.registered_at,
                ended_at=one.ended_at,
                deleted_at=one.deleted_at,
            )
            for one in found
        ]
    )


async def _log(call: Call[LogQuery], account: str | None) -> LogReply:
    async with call.services.database.read() as session:
        found = await audit.entries(session, account=account, after=call.query.after)
    return LogReply(
        entries=[
            Entry(
                seq=one.seq,
                at=one.at,
                actor=one.actor,
                action=one.action,
                account=one.account_id,
                subject=one.subject,
                outcome=one.outcome,
            )
            for one in found
        ]
    )
