"""What there is to tell one contact about one site, as things stand now.

- *new*: fires, is routed to this channel, and the contact was not told of it at this severity.
- *over*: the contact was told of it, and it is over. What is over before it was told never shows.
- *standing*: critical, told, still fires, and nobody acknowledged it: reminders are for these.
- *held*: would be new or over, but not now: a silence, the contact's quiet hours, others who are asked first and
  have not acknowledged it in vain yet, a rule that holds it back while it fires or is about to, or a site that sends a
  backlog, of which later readings may say that it is over. This last reason ends after `CATCH_UP`, so that a site that
  is always late is late and not mute.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.config import Notify
from backend.notify.quiet import quiet_until
from backend.notify.routing import Audience
from backend.registry.notify_tables import Contact, Telling
from backend.registry.rule_tables import RuleState, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Silence, Warning
from backend.warnings.catalogue import Catalogue
from backend.warnings.severity import Severity

CATCH_UP: Final = timedelta(minutes=15)
"""So long a site that sends a backlog is given to come to the present."""


@dataclass(slots=True)
class Agenda:
    """Warnings by what is to be said of them; each list has the worst and oldest first."""

    new: list[Warning] = field(default_factory=list)
    over: list[Warning] = field(default_factory=list)
    standing: list[Warning] = field(default_factory=list)
    held_until: datetime | None = None  # when to look again at what is held

    def hold(self, until: datetime) -> None:
        self.held_until = min(self.held_until or until, until)

    def due(self, last_sent: datetime | None, settings: Notify, now: datetime) -> datetime | None:
        """When the next message is to leave; None when there is nothing to say."""
        times = [self.held_until] if self.held_until else []
        if self.new or self.over:
            times.append(max(now, last_sent + timedelta(seconds=settings.update_s)) if last_sent else now)
        if self.standing and last_sent:
            times.append(last_sent + timedelta(seconds=settings.repeat_s))
        return min(times, default=None)


class Planner:
    """Finds out what is to be told."""

    def __init__(self, catalogue: Catalogue, settings: Notify) -> None:
        self._catalogue = catalogue
        self._recheck = timedelta(seconds=max(settings.group_wait_s, 1))

    async def agenda(self, session: AsyncSession, site: Site, contact: Contact, *, now: datetime) -> Agenda:
        """What there is to tell a contact about a site."""
        agenda = Agenda()
        audience = await Audience.of(session, site.account_id)
        told_of = {severity for severity in Severity if audience.is_told(contact, severity, site.id)}
        silences = await _silences(session, site, contact.member_id, now)
        held = await self._held_back(session, site, now)
        active = await _active(session, site, contact, held)
        if held and await _is_any_kept(session, site, contact, held, told_of):
            agenda.hold(now + self._recheck)
        is_behind = await self._is_behind(session, site, now)
        for warning, telling in active if site.paused_at is None else ():
            severity = Severity(warning.severity)
            silenced_until = _silenced_until(silences, warning)
            if telling is not None and Severity(telling.severity).rank >= severity.rank:
                if severity is Severity.CRITICAL and warning.acknowledged_at is None and not silenced_until:
                    if (quiet := quiet_until(contact, severity, now)) is not None:
                        agenda.hold(quiet)
                    else:
                        agenda.standing.append(warning)
            elif severity not in told_of or (contact.after_min and warning.acknowledged_at is not None):
                continue
            elif silenced_until:
                agenda.hold(silenced_until)
            elif warning.rule in held or (is_behind and warning.machine):
                agenda.hold(now + self._recheck)
            elif (later := _not_before(contact, warning, severity, now)) is not None:
                agenda.hold(later)
            else:
                agenda.new.append(warning)
        for warning in await _over(session, site, contact):
            if silenced_until := _silenced_until(silences, warning):
                agenda.hold(silenced_until)
            elif (quiet := quiet_until(contact, Severity(warning.severity), now)) is not None:
                agenda.hold(quiet)
            else:
                agenda.over.append(warning)
        for warnings in (agenda.new, agenda.over, agenda.standing):
            warnings.sort(key=_worst_first)
        return agenda

    async def _held_back(self, session: AsyncSession, site: Site, now: datetime) -> set[str]:
        """The rules of which nobody is told anew, because another one of the site fires or is about to."""
        holders = [rule for rule in self._catalogue if rule.holds_back]
        names = [rule.name for rule in holders]
        firing = select(Warning.rule).where(
            Warning.account_id == site.account_id,
            Warning.site_id == site.id,
            Warning.machine == "",
            Warning.resolved_at.is_(None),
            Warning.rule.in_(names),
        )
        pending = select(RuleState.rule).where(
            RuleState.account_id == site.account_id,
            RuleState.site_id == site.id,
            RuleState.machine == "",
            RuleState.rule.in_(names),
            RuleState.updated_at > now - CATCH_UP,
        )
        found = set(await session.scalars(firing.union(pending)))
        return {name for rule in holders if rule.name in found for name in rule.holds_back}

    async def _is_behind(self, session: AsyncSession, site: Site, now: datetime) -> bool:
        since = await session.scalar(select(SiteWatch.behind_since).where(SiteWatch.site_id == site.id))
        return since is not None and now - since < CATCH_UP


def _not_before(contact: Contact, warning: Warning, severity: Severity, now: datetime) -> datetime | None:
    """When a contact may be told of a warning that is new to it; None: now."""
    turn = warning.started_at + timedelta(minutes=contact.after_min)
    quiet = quiet_until(contact, severity, now)
    return max((time for time in (turn, quiet) if time is not None and time > now), default=None)


async def _active(
    session: AsyncSession, site: Site, contact: Contact, held: Set[str]
) -> Sequence[tuple[Warning, Telling | None]]:
    """What fires at the site, and whether the contact was told; without what is held back and was not told: in an
    outage, that is a hundred thousand."""
    told = and_(Telling.warning_id == Warning.id, Telling.contact_id == contact.id)
    rows = await session.execute(
        select(Warning, Telling)
        .outerjoin(Telling, told)
        .where(
            Warning.account_id == site.account_id,
            Warning.site_id == site.id,
            Warning.resolved_at.is_(None),
            or_(Warning.rule.not_in(sorted(held)), Telling.warning_id.is_not(None)),
        )
    )
    return [(warning, telling) for warning, telling in rows]


async def _is_any_kept(
    session: AsyncSession, site: Site, contact: Contact, held: Set[str], severities: Set[Severity]
) -> bool:
    """Whether anything fires that is held back and that the contact would be told of."""
    told = and_(Telling.warning_id == Warning.id, Telling.contact_id == contact.id)
    query = (
        select(Warning.id)
        .outerjoin(Telling, told)
        .where(
            Warning.account_id == site.account_id,
            Warning.site_id == site.id,
            Warning.resolved_at.is_(None),
            Warning.rule.in_(sorted(held)),
            Warning.severity.in_(sorted(severities)),
            Telling.warning_id.is_(None),
        )
    )
    return await session.scalar(query.limit(1)) is not None


async def _over(session: AsyncSession, site: Site, contact: Contact) -> Sequence[Warning]:
    """What the contact was told of and is over, without being told that."""
    rows = await session.scalars(
        select(Warning)
        .join(Telling, Telling.warning_id == Warning.id)
        .where(
            Telling.contact_id == contact.id,
            Telling.over_message_id.is_(None),
            Warning.site_id == site.id,
            Warning.resolved_at.is_not(None),
        )
    )
    return rows.all()


def _worst_first(warning: Warning) -> tuple[int, datetime, str]:
    return -Severity(warning.severity).rank, warning.since, warning.id


async def _silences(session: AsyncSession, site: Site, member: str, now: datetime) -> Sequence[Silence]:
    rows = await session.scalars(
        select(Silence).where(
            Silence.account_id == site.account_id,
            or_(Silence.site_id.is_(None), Silence.site_id == site.id),
            or_(Silence.member_id.is_(None), Silence.member_id == member),
            Silence.starts_at <= now,
            Silence.ends_at > now,
        )
    )
    return rows.all()


def _silenced_until(silences: Sequence[Silence], warning: Warning) -> datetime | None:
    """When the last of the silences that match ends."""
    matching = [
        silence.ends_at
        for silence in silences
        if silence.machine in (None, warning.machine) and silence.rule in (None, warning.rule)
    ]
    return max(matching, default=None)
