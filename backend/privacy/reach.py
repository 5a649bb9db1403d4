"""Whom an incident affects, found from the audit trail.

An entry about a member affects that member, an entry about a message whom it was for, any other entry of an account all
of its members: rather one too many is told than one too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.account_tables import Member
from backend.registry.notify_tables import OutboxMessage
from backend.registry.privacy_tables import AuditEntry, Letter

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What an incident could get at: what these actors (all, when none is named) did in `since` ≤ time < `until`, of
    these accounts (all, when none is named); or everything."""

    since: datetime
    until: datetime
    actors: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    is_everybody: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "actors": list(self.actors),
            "accounts": list(self.accounts),
            "is_everybody": self.is_everybody,
        }


async def affected(session: AsyncSession, reach: Reach) -> dict[str, str]:
    """Member → account, of those who are still here."""
    if reach.is_everybody:
        everybody = select(Member.id, Member.account_id)
        if reach.accounts:
            everybody = everybody.where(Member.account_id.in_(reach.accounts))
        known: dict[str, str] = {}
        known.update((member, account) for member, account in await session.execute(everybody))
        return known
    query = select(AuditEntry.account_id, AuditEntry.subject).where(
        AuditEntry.at >= reach.since, AuditEntry.at < reach.until
    )
    if reach.actors:
        query = query.where(AuditEntry.actor.in_(reach.actors))
    if reach.accounts:
        query = query.where(AuditEntry.account_id.in_(reach.accounts))
    accounts: set[str] = set()
    members: set[str] = set()
    messages: set[str] = set()
    for account, subject in await session.execute(query.distinct()):
        if subject is not None and subject.startswith("mem_"):
            members.add(subject)
        elif account is not None:
            accounts.add(account)
        elif subject is not None and subject.startswith(("msg_", "ltr_")):
            messages.add(subject)
    for table in (OutboxMessage, Letter):
        for some in _parts(messages):
            found = await session.scalars(select(table.member_id).where(table.id.in_(some)))
            members.update(member for member in found if member is not None)
    known = {}
    for column, wanted in ((Member.account_id, accounts), (Member.id, members)):
        for some in _parts(wanted):
            rows = await session.execute(select(Member.id, Member.account_id).where(column.in_(some)))
            known.update((member, account) for member, account in rows)
    return known


def _parts(wanted: set[str]) -> list[Sequence[str]]:
    """What fits into one question to the database."""
    ordered = sorted(wanted)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
