"""Silences, maintenance windows and mutes: of what matches, nobody is told for a while, or one member is not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, StringConstraints, model_validator
from sqlalchemy import or_, select

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.api.rules import Id, Machine, RuleName
from backend.ids import SiteId
from backend.registry import sites
from backend.registry.errors import Invalid
from backend.registry.warning_tables import Silence
from backend.warnings.actions import FOREVER
from backend.warnings.catalogue import BadRule

_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class SilenceRequest(Body):
    """What is left out matches everything; a machine needs its site. From now on, or from `starts_at` on."""

    site: Id | None = None  # id or name
    machine: Machine | None = None
    rule: RuleName | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime
    reason: _Reason | None = None

    @model_validator(mode="after")
    def _where(self) -> Self:
        if self.machine is not None and self.site is None:
            raise ValueError("name the machine's site, too")
        return self


class MaintenanceRequest(Body):
    """A site, and when people work there."""

    site: Id
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime
    reason: _Reason | None = None


class MuteRequest(Body):
    """A rule that you want to hear no more of, at a site or anywhere; until you say otherwise."""

    rule: RuleName
    site: Id | None = None


class SilenceQuery(Query):
    """Which one; in the address."""

    silence: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SilenceShown(BaseModel):
    """One of them."""

    silence: str
    site: str | None
    machine: str | None
    rule: str | None
    only_for: str | None  # the member who muted it for themselves
    by: str | None
    reason: str | None
    starts_at: datetime
    ends_at: datetime | None  # absent: it has no end


class SilencesReply(BaseModel):
    """What holds now or will, the first to begin first; others' own mutes are left out."""

    silences: list[SilenceShown]


async def listed(call: Call[Query]) -> SilencesReply:
    """All silences."""
    return await _listed(call)


async def maintenance_listed(call: Call[Query]) -> SilencesReply:
    """Those of whole sites."""
    found = await _listed(call)
    return SilencesReply(silences=[each for each in found.silences if not (each.rule or each.machine or each.only_for)])


async def make(call: Call[Query]) -> SilenceShown:
    """Tell nobody."""
    sent = await body(call, SilenceRequest)
    return await _made(call, sent.site, sent.machine, sent.rule, sent.starts_at, sent.ends_at, sent.reason)


async def maintain(call: Call[Query]) -> SilenceShown:
    """Tell nobody of a whole site."""
    sent = await body(call, MaintenanceRequest)
    return await _made(call, sent.site, None, None, sent.starts_at, sent.ends_at, sent.reason)


async def mute(call: Call[Query]) -> SilenceShown:
    """Do not tell me."""
    sent = await body(call, MuteRequest)
    return await _made(call, sent.site, None, sent.rule, None, FOREVER, None, member=call.member)


async def end(call: Call[SilenceQuery]) -> web.Response:
    """End one now."""
    member = call.bearer_known.member
    await call.services.actions.end_silence(call.account, call.query.silence, member=member, now=call.now)
    call.services.wake()
    return done()


async def unmute(call: Call[SilenceQuery]) -> web.Response:
    """End a mute of one's own."""
    member = call.member
    async with call.services.database.read() as session:
        own = await session.scalar(
            select(Silence.id).where(Silence.id == call.query.silence, Silence.member_id == member)
        )
    await call.services.actions.end_silence(call.account, own or "", member=member, now=call.now)
    call.services.wake()
    return done()


async def _listed(call: Call[Query]) -> SilencesReply:
    async with call.services.database.read() as session:
        rows = await session.scalars(
            select(Silence)
            .where(
                Silence.account_id == call.account,
                Silence.ends_at > call.now,
                or_(Silence.member_id.is_(None), Silence.member_id == call.bearer_known.member),
            )
            .order_by(Silence.starts_at, Silence.id)
        )
        return SilencesReply(silences=[_shown(row) for row in rows])


async def _made(
    call: Call[Query],
    site: str | None,
    machine: str | None,
    rule: str | None,
    starts_at: datetime | None,
    ends_at: datetime,
    reason: str | None,
    *,
    member: str | None = None,
) -> SilenceShown:
    site_id = None
    if site is not None:
        async with call.services.database.read() as session:
            site_id = SiteId((await sites.find(session, call.account, site)).id)
    if ends_at <= call.now:
        raise Invalid("ends_at: this is over already")
    try:
        made = await call.services.actions.silence(
            call.account,
            site_id,
            machine=machine,
            rule=rule,
            member=member,
            starts_at=max(starts_at or call.now, call.now),
            ends_at=ends_at,
            by=call.bearer_known.member or call.bearer_known.token,
            reason=reason,
        )
    except BadRule as error:
        raise Invalid(str(error)) from error
    return _shown(made)


def _shown(row: Silence) -> SilenceShown:
    return SilenceShown(
        silence=row.id,
        site=row.site_id,
        machine=row.machine,
        rule=row.rule,
        only_for=row.member_id,
        by=row.made_by,
        reason=row.reason,
        starts_at=row.starts_at,
        ends_at=row.ends_at if row.ends_at < FOREVER else None,
    )
