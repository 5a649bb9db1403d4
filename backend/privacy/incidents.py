"""Incidents of security: recorded, those affected told by mail and text, the rest by an announcement; the report.

There is no app, so there are no push notifications; the report says so. Each delivery is a letter, which is tracked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.notify.routing import Channel, contact
from backend.privacy import announcing, audit, letters
from backend.privacy.reach import Reach, affected
from backend.registry.account_tables import Member
from backend.registry.errors import Invalid, Missing, Taken
from backend.registry.privacy_tables import Letter
from backend.registry.rights_tables import AffectedMember, Incident

CHANNELS: Final = (Channel.EMAIL, Channel.SMS)
_LONGEST_TEXT: Final = 300
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Told:
    """Whom telling reaches, or would reach."""

    members: int
    by_email: int
    by_sms: int
    by_announcement: int  # whom neither reaches


async def record(
    session: AsyncSession, *, title: str, what: str, measures: str, advice: str, reach: Reach, by: str, now: datetime
) -> Incident:
    """Write down what is known, and whom it affects. Raises `Invalid`."""
    if not all(each.strip() for each in (title, what, measures, advice)):
        raise Invalid("say what it is called, what happened, what was done, and what members can do")
    if reach.since >= reach.until:
        raise Invalid("it ends after it begins")
    made = Incident(
        id=ids.new("inc"),
        title=title.strip(),
        what=what.strip(),
        measures=measures.strip(),
        advice=advice.strip(),
        scope=reach.as_json(),
        recorded_at=now,
    )
    session.add(made)
    await session.flush()
    rows = [
        {"incident_id": made.id, "member_id": member, "account_id": account}
        for member, account in (await affected(session, reach)).items()
    ]
    if rows:
        await session.execute(insert(AffectedMember), rows)
    await audit.record(session, actor=by, action="incident recorded", subject=made.id, now=now)
    return made


async def tell(session: AsyncSession, incident_id: str, *, by: str, now: datetime) -> Told:
    """Write to all who are affected; announce it when some cannot be reached. Raises `Missing` or `Taken`."""
    found = await find(session, incident_id)
    if found.told_at is not None:
        raise Taken("those affected were told")
    found.told_at = now
    told: Counter[str] = Counter()
    for some in await _affected(session, found):
        for member in some:
            reached = [channel for channel in CHANNELS if contact(member, channel)]
            for channel in reached:
                _write(session, found, member, channel, now)
                told[channel.value] += 1
            told["members"] += 1
            told["unreached"] += not reached
    if told["unreached"]:
        announce(session, found, now)
    await audit.record(session, actor=by, action="incident told", subject=found.id, now=now)
    return Told(told["members"], told[Channel.EMAIL.value], told[Channel.SMS.value], told["unreached"])


async def preview(session: AsyncSession, members: Mapping[str, str]) -> Told:
    """Whom telling these would reach; changes nothing."""
    told: Counter[str] = Counter()
    ordered = sorted(members)
    for start in range(0, len(ordered), _AT_ONCE):
        for member in await session.scalars(select(Member).where(Member.id.in_(ordered[start : start + _AT_ONCE]))):
            reached = [channel for channel in CHANNELS if contact(member, channel)]
            told.update(channel.value for channel in reached)
            told["unreached"] += not reached
    return Told(len(ordered), told[Channel.EMAIL.value], told[Channel.SMS.value], told["unreached"])


async def watch(session: AsyncSession, *, now: datetime) -> int:
    """Announce incidents of which somebody affected was reached by no letter after all; how many."""
    announced = 0
    for found in await session.scalars(select(Incident).where(Incident.told_at.is_not(None))):
        if await announcing.listed(session, about=found.id):
            continue
        not_failed = func.count(Letter.id) - func.count(Letter.failed_at)
        query = select(Letter.member_id).where(Letter.about == found.id).group_by(Letter.member_id)
        if (await session.execute(query.having(not_failed == 0).limit(1))).first() is not None:
            announce(session, found, now)
            announced += 1
    return announced


def announce(session: AsyncSession, found: Incident, now: datetime) -> None:
    """For those whom no letter reaches."""
    announcing.publish(session, about=found.id, title=found.title, text=_text(found), now=now)


async def find(session: AsyncSession, incident_id: str) -> Incident:
    """One of them. Raises `Missing`."""
    found = await session.get(Incident, incident_id)
    if found is None:
        raise Missing(f"there is no incident {incident_id}")
    return found


async def listed(session: AsyncSession) -> Sequence[tuple[Incident, int]]:
    """All of them, newest first, each with how many members it affects."""
    count = select(AffectedMember.incident_id, func.count().label("members")).group_by(AffectedMember.incident_id)
    counts = {incident: members for incident, members in await session.execute(count)}  # noqa: C416 (rows to pairs)
    found = await session.scalars(select(Incident).order_by(Incident.recorded_at.desc(), Incident.id))
    return [(one, counts.get(one.id, 0)) for one in found]


async def report(session: AsyncSession, incident_id: str, *, service: str, now: datetime) -> str:
    """For the regulator: what happened, whom it affects, what was done, who was told and how. It names nobody."""
    found = await find(session, incident_id)
    members = await session.scalar(
        select(func.count()).select_from(AffectedMember).where(AffectedMember.incident_id == found.id)
    )
    accounts = await session.scalar(
        select(func.count(AffectedMember.account_id.distinct())).where(AffectedMember.incident_id == found.id)
    )
    announced = await announcing.listed(session, about=found.id)
    lines = [
        f"Report of an incident of security at {service}",
        f"Incident {found.id}: {found.title}",
        f"Recorded {found.recorded_at:%Y-%m-%d %H:%M} UTC; this report is of {now:%Y-%m-%d %H:%M} UTC",
        f"It lasted from {found.scope['since']} to {found.scope['until']}",
        "",
        "What happened:",
        found.what,
        "",
        f"Persons affected: {members}, of {accounts} accounts",
        "Kinds of data: contacts of members (e-mail, phone) and readings of machines under pseudonyms",
        "",
        "What was done:",
        found.measures,
        "",
        "What those affected were advised to do:",
        found.advice,
        "",
        "How they were told:" if found.told_at else "They were not told yet.",
    ]
    for channel, counts in (await deliveries(session, found.id)).items():
        lines.append(f"  {channel}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    lines.append("  push: the service has no app, so there is no such channel")
    when = f"since {announced[0].published_at:%Y-%m-%d %H:%M} UTC" if announced else "no: letters go to everybody"
    lines.append(f"  public announcement: {when}")
    return "\n".join(lines) + "\n"


async def deliveries(session: AsyncSession, incident_id: str) -> dict[str, dict[str, int]]:
    """Channel → sent, failed, under way."""
    rows = await session.execute(
        select(Letter.channel, func.count(), func.count(Letter.sent_at), func.count(Letter.failed_at))
        .where(Letter.about == incident_id)
        .group_by(Letter.channel)
        .order_by(Letter.channel)
    )
    return {
        channel: {"sent": sent, "failed": failed, "under way": count - sent - failed}
        for channel, count, sent, failed in rows
    }


async def _affected(session: AsyncSession, found: Incident) -> list[Sequence[Member]]:
    query = select(AffectedMember.member_id).where(AffectedMember.incident_id == found.id)
    ordered = (await session.scalars(query.order_by(AffectedMember.member_id))).all()
    return [
        (await session.scalars(select(Member).where(Member.id.in_(ordered[start : start + _AT_ONCE])))).all()
        for start in range(0, len(ordered), _AT_ONCE)
    ]


def _write(session: AsyncSession, found: Incident, member: Member, channel: Channel, now: datetime) -> None:
    text = _text(found) if channel is Channel.EMAIL else f"{found.title}. {found.advice}"[:_LONGEST_TEXT]
    letters.write(
        session, about=found.id, purpose="law", to=member, subject=found.title, text=text, channel=channel, now=now
    )


def _text(found: Incident) -> str:
    return f"What happened:\n\n{found.what}\n\nWhat we did:\n\n{found.measures}\n\nWhat you can do:\n\n{found.advice}\n"
