"""Who saw personal data: the audit log for those it is about, and for those who watch over it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.privacy import audit, digests, processors
from backend.registry.privacy_tables import AuditEntry

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class LogQuery(Query):
    """`after`: a place in the log."""

    after: Annotated[int, Field(ge=0)] = 0


class OwnLogQuery(Query):
    """`before`: for what follows on an answer, its oldest entry's time; those of that second come again."""

    before: AwareDatetime | None = None


class Entry(BaseModel):
    """One access. Its place in the log is for who oversees it: it counts what other accounts do, too."""

    seq: int | None
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


async def own_log(call: Call[OwnLogQuery]) -> LogReply:
    """Who saw what of the account's people: members, staff, jobs."""
    async with call.services.database.read() as session:
        found = await audit.entries(session, account=call.account, before=call.query.before)
    return LogReply(entries=[_entry(one, seq=None) for one in found])


async def whole_log(call: Call[LogQuery]) -> LogReply:
    """All accesses."""
    async with call.services.database.read() as session:
        found = await audit.entries(session, after=call.query.after)
    return LogReply(entries=[_entry(one, seq=one.seq) for one in found])


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


def _entry(one: AuditEntry, *, seq: int | None) -> Entry:
    return Entry(
        seq=seq,
        at=one.at,
        actor=one.actor,
        action=one.action,
        account=one.account_id,
        subject=one.subject,
        outcome=one.outcome,
    )
