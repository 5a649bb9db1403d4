"""Sharing: the switch, what is proposed and agreed to, what recipients were given; and what recipients may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.api import machines, series, warnings
from backend.api.moments import Moment
from backend.api.registering import Body, Email, body, done
from backend.api.route import Call, Query
from backend.ids import AccountId
from backend.privacy import sharing
from backend.privacy.sharing import KINDS, Kind
from backend.registry.rights_tables import Share as Row

R = TypeVar("R")

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SharingReply(BaseModel):
    """`do_not_sell_or_share`: nothing leaves; it is so until an owner says otherwise. Nothing is ever sold."""

    do_not_sell_or_share: bool


class SwitchRequest(Body):
    """True ends all shares at once."""

    do_not_sell_or_share: bool


class ProposeRequest(Body):
    """Who would get what, and why."""

    recipient: Annotated[str, StringConstraints(max_length=200)]
    contact: Email
    purpose: Annotated[str, StringConstraints(max_length=500)]
    kinds: Annotated[list[Kind], Field(min_length=1, max_length=len(KINDS))]


class StaffProposeRequest(ProposeRequest):
    """To this account, which may agree or not."""

    account: Id


class ShareRequest(Body):
    """Which one."""

    share: Id


class Share(BaseModel):
    """What is asked for; shared from `consented_at` to `ended_at`, not at all without the first."""

    share: str
    recipient: str
    contact: str
    purpose: str
    method: str
    kinds: dict[str, str]  # and what each is
    proposed_by: str
    proposed_at: datetime
    consented_by: str | None
    consented_at: datetime | None
    ended_at: datetime | None


class ConsentReply(Share):
    """The token to hand to the recipient; shown this once."""

    secret: str


class SharesReply(BaseModel):
    """Newest first."""

    shares: list[Share]


class DisclosuresQuery(Query):
    """Those before a time; by default the newest."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    before: Moment | None = None


class Disclosure(BaseModel):
    """Something was given to a recipient."""

    share: str
    kind: str
    rows: int
    at: datetime


class DisclosuresReply(BaseModel):
    """Newest first."""

    disclosures: list[Disclosure]


async def state(call: Call[Query]) -> SharingReply:
    """Whether anything may be shared."""
    async with call.services.database.read() as session:
        return SharingReply(do_not_sell_or_share=not await sharing.is_on(session, call.account))


async def switch(call: Call[Query]) -> SharingReply:
    """Stop all sharing, or allow that some is agreed to."""
    sent = await body(call, SwitchRequest)
    on = not sent.do_not_sell_or_share
    async with call.services.database.begin() as session:
        await sharing.switch(session, call.account, call.member, on=on, now=call.now)
    return SharingReply(do_not_sell_or_share=not on)


async def propose(call: Call[Query]) -> Share:
    """An owner wants to share something."""
    return await _propose(call, await body(call, ProposeRequest), call.account, call.member)


async def propose_to(call: Call[Query]) -> Share:
    """The service asks an account to share something."""
    sent = await body(call, StaffProposeRequest)
    return await _propose(call, sent, AccountId(sent.account), call.staff)


async def consent(call: Call[Query]) -> ConsentReply:
    """Agree to one recipient and purpose."""
    sent = await body(call, ShareRequest)
    async with call.services.database.begin() as session:
        share, secret = await sharing.consent(session, call.account, call.member, sent.share, now=call.now)
    return ConsentReply(**_shown(share).model_dump(), secret=str(secret))


async def end(call: Call[Query]) -> web.Response:
    """Agree no more."""
    sent = await body(call, ShareRequest)
    async with call.services.database.begin() as session:
        await sharing.end(session, call.account, call.member, sent.share, now=call.now)
    return done()


async def listed(call: Call[Query]) -> SharesReply:
    """What is proposed, agreed to, ended."""
    async with call.services.database.read() as session:
        return SharesReply(shares=[_shown(one) for one in await sharing.listed(session, call.account)])


async def disclosed(call: Call[DisclosuresQuery]) -> DisclosuresReply:
    """What recipients were given."""
    async with call.services.database.read() as session:
        found = await sharing.disclosures(session, call.account, before=call.query.before or call.now)
    return DisclosuresReply(
        disclosures=[Disclosure(share=one.share_id, kind=one.kind, rows=one.rows, at=one.at) for one in found]
    )


async def shared_machines(call: Call[machines.MachinesQuery]) -> machines.MachinesReply:
    """For a recipient: the newest reading of each machine."""
    return await _disclosed(call, "machines", machines.listed, lambda reply: len(reply.machines))


async def shared_series(call: Call[series.Parameters]) -> series.SeriesReply | series.Rows:
    """For a recipient: one metric over time."""
    return await _disclosed(call, "series", series.answered, _points)


async def shared_warnings(call: Call[warnings.WarningsQuery]) -> warnings.WarningsReply:
    """For a recipient: what fires and what did."""
    return await _disclosed(call, "warnings", warnings.listed, lambda reply: len(reply.warnings))


def _points(reply: series.SeriesReply | series.Rows) -> int:
    return len(reply.root) if isinstance(reply, series.Rows) else sum(len(one.points) for one in reply.series)


async def _disclosed(
    call: Call[Any], kind: Kind, ask: Callable[[Call[Any]], Awaitable[R]], count: Callable[[R], int]
) -> R:
    """An answer that another route gives, if it is shared; written down before it leaves."""
    token = call.bearer_known.token
    async with call.services.database.read() as session:
        await sharing.require(session, call.account, token, kind)
    reply = await ask(call)
    async with call.services.database.begin() as session:
        await sharing.disclose(session, call.account, token, kind, count(reply), now=call.now)
    return reply


async def _propose(call: Call[Query], sent: ProposeRequest, account: AccountId, by: str) -> Share:
    async with call.services.database.begin() as session:
        return _shown(
            await sharing.propose(
                session,
                account,
                by,
                recipient=sent.recipient,
                contact=sent.contact,
                purpose=sent.purpose,
                kinds=sent.kinds,
                now=call.now,
            )
        )


def _shown(row: Row) -> Share:
    return Share(
        share=row.id,
        recipient=row.recipient,
        contact=row.contact,
        purpose=row.purpose,
        method=row.method,
        kinds={kind: what for kind, what in KINDS.items() if kind in row.kinds},
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        consented_by=row.consented_by,
        consented_at=row.consented_at,
        ended_at=row.ended_at,
    )
