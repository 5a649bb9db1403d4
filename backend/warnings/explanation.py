"""Why a warning fired, what became of it, who was told what and when, and who was not and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.notify.quiet import quiet_until
from backend.notify.routing import Audience, address
from backend.registry.account_tables import Member
from backend.registry.errors import Missing
from backend.registry.notify_tables import Contact, OutboxMessage, Telling
from backend.registry.rule_tables import RuleChange, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Silence, Warning, WarningChange
from backend.warnings.catalogue import Catalogue
from backend.warnings.overrides import Override
from backend.warnings.severity import Severity


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a warning."""

    at: datetime
    what: str
    severity: str | None = None
    value: float | None = None
    threshold: float | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A message that told a member of it."""

    contact: str
    member: str
    channel: str
    severity: str
    message: str
    sent_at: datetime | None
    over_message: str | None
    over_sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A contact that was not told, and why."""

    contact: str
    member: str
    channel: str
    why: tuple[str, ...]


async def find(session: AsyncSession, account: AccountId, warning: str) -> Warning:
    """The account's warning of this id. Raises `Missing`."""
    found: Warning | None = await session.scalar(
        select(Warning).where(Warning.id == warning, Warning.account_id == account)
    )
    if found is None:
        raise Missing("there is no such warning in this account")
    return found


async def overrides_at(session: AsyncSession, account: AccountId, at: datetime) -> list[Override]:
    """What the account had changed of its rules at a time, by the history of its changes."""
    rows = await session.scalars(
        select(RuleChange).where(RuleChange.account_id == account, RuleChange.at <= at).order_by(RuleChange.at)
    )
    last = {(row.rule, row.site_id, row.model, row.machine): row for row in rows}
    return [
        Override(
            rule=row.rule,
            numbers=row.after,
            site=SiteId(row.site_id) if row.site_id else None,
            model=row.model or None,
            machine=row.machine or None,
        )
        for row in last.values()
        if row.after
    ]


async def timeline(session: AsyncSession, warning: Warning) -> list[Moment]:
    """What happened, in order."""
    changes = (
        await session.scalars(
            select(WarningChange).where(WarningChange.warning_id == warning.id).order_by(WarningChange.at)
        )
    ).all()
    first = changes[0].before if changes else warning.severity
    moments = [
        Moment(warning.since, "began"),
        Moment(warning.started_at, "fired", first),
        *(
            Moment(
                each.at,
                "escalated" if Severity(each.after).rank > Severity(each.before).rank else "eased",
                each.after,
                each.value,
                each.threshold,
            )
            for each in changes
        ),
    ]
    if warning.acknowledged_at is not None:
        moments.append(Moment(warning.acknowledged_at, "acknowledged"))
    if warning.resolved_at is not None:
        moments.append(Moment(warning.resolved_at, warning.resolution or "resolved"))
    return sorted(moments, key=lambda moment: moment.at)


async def told(session: AsyncSession, warning: Warning) -> list[Told]:
    """Who was told, of its firing and of its end."""
    tellings = (
        await session.scalars(
            select(Telling).where(Telling.warning_id == warning.id).order_by(Telling.member_id, Telling.contact_id)
        )
    ).all()
    names = {name for each in tellings for name in (each.message_id, each.over_message_id) if name}
    rows = await session.execute(
        select(OutboxMessage.id, OutboxMessage.sent_at).where(OutboxMessage.id.in_(sorted(names)))
    )
    sent = {row.id: row.sent_at for row in rows}
    return [
        Told(
            each.contact_id,
            each.member_id,
            each.channel,
            each.severity,
            each.message_id,
            sent.get(each.message_id),
            each.over_message_id,
            sent.get(each.over_message_id or ""),
        )
        for each in tellings
    ]


async def held(
    session: AsyncSession, warning: Warning, catalogue: Catalogue, already: Sequence[Told], *, now: datetime
) -> list[Held]:
    """The contacts that were not told, and why."""
    audience = await Audience.of(session, warning.account_id)
    of_all = await _kept_back(session, warning, catalogue, now=now)
    silences = await _silences(session, warning, now=now)
    waiting = await _unsent(session, warning)
    found = []
    for contact, member in audience.contacts:
        if any(each.contact == contact.id for each in already):
            continue
        why = _of_contact(audience, contact, member, warning, now)
        why += [_silence(each) for each in silences if each.member_id in (None, member.id)]
        why += of_all
        why += [text for key, text in waiting if key == contact.id]
        found.append(Held(contact.id, member.id, contact.channel, tuple(why) or ("it is about to be told",)))
    return found


def _of_contact(audience: Audience, contact: Contact, member: Member, warning: Warning, now: datetime) -> list[str]:
    severity = Severity(warning.severity)
    why = []
    if address(contact, member) is None:
        why.append("the contact is not verified, or has failed")
    elif not audience.is_told(contact, severity, warning.site_id):
        sites = " of its sites" if contact.sites else ""
        why.append(f"the contact is told of {contact.severity} and worse{sites}; this is {severity.value}")
    if contact.after_min:
        why.append(f"the contact is told when nobody acknowledges for {contact.after_min} minutes")
    if (quiet := quiet_until(contact, severity, now)) is not None:
        why.append(f"the contact has quiet hours until {quiet.isoformat()}")
    return why


def _silence(silence: Silence) -> str:
    what = "muted by the member" if silence.member_id else "silenced"
    about = " ".join(filter(None, (silence.rule, silence.machine, silence.site_id))) or "everything"
    why = f", because: {silence.reason}" if silence.reason else ""
    return f"{what} ({about}) from {silence.starts_at.isoformat()} to {silence.ends_at.isoformat()}{why}"


async def _silences(session: AsyncSession, warning: Warning, *, now: datetime) -> Sequence[Silence]:
    rows = await session.scalars(
        select(Silence).where(
            Silence.account_id == warning.account_id,
            or_(Silence.site_id.is_(None), Silence.site_id == warning.site_id),
            or_(Silence.machine.is_(None), Silence.machine == warning.machine),
            or_(Silence.rule.is_(None), Silence.rule == warning.rule),
            Silence.starts_at <= (warning.resolved_at or now),
            Silence.ends_at > warning.started_at,
        )
    )
    return rows.all()


async def _kept_back(session: AsyncSession, warning: Warning, catalogue: Catalogue, *, now: datetime) -> list[str]:
    """What keeps everybody from hearing of it."""
    why = []
    end = warning.resolved_at or now
    rows = await session.scalars(
        select(Warning)
        .where(
            Warning.account_id == warning.account_id,
            Warning.site_id == warning.site_id,
            Warning.rule.in_(sorted(catalogue.holders_of(warning.rule))),
            Warning.started_at <= end,
            or_(Warning.resolved_at.is_(None), Warning.resolved_at > warning.started_at),
        )
        .order_by(Warning.started_at)
    )
    why += [f"held back by {row.rule} of its site, which fired at {row.started_at.isoformat()}" for row in rows]
    site = await session.get_one(Site, warning.site_id)
    if site.paused_at is not None:
        why.append(f"the site was paused at {site.paused_at.isoformat()}")
    behind_since = await session.scalar(select(SiteWatch.behind_since).where(SiteWatch.site_id == warning.site_id))
    if behind_since is not None and warning.machine and warning.resolved_at is None:
        why.append(f"the site has been sending a backlog since {behind_since.isoformat()}: it may be over already")
    if warning.resolved_at is not None:
        why.append(f"it was over at {warning.resolved_at.isoformat()}: of what is over, nobody is told anew")
    return why


async def _unsent(session: AsyncSession, warning: Warning) -> list[tuple[str | None, str]]:
    """Messages about its site that wait or have failed."""
    rows = await session.scalars(
        select(OutboxMessage).where(
            OutboxMessage.account_id == warning.account_id,
            OutboxMessage.site_id == warning.site_id,
            OutboxMessage.sent_at.is_(None),
            OutboxMessage.created_at >= warning.started_at,
        )
    )
    return [
        (
            row.contact_id,
            f"a message failed at {row.failed_at.isoformat()}: {row.last_error or 'given up'}"
            if row.failed_at is not None
            else f"a message waits until {row.due_at.isoformat()}",
        )
        for row in rows
    ]
