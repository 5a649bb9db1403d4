"""A message that is ours to send, and how the outbox remembers what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.notify.agenda import Agenda
from backend.notify.digests import Digest
from backend.notify.notices import Notice
from backend.notify.routing import Channel
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A message that is ours to send until the lease ends: warnings of a site, a notice, or a digest."""

    id: str
    attempt: int  # 1 for the first; also tells a later holder's claim from ours
    created_at: datetime
    channel: Channel
    to: str
    member: Member
    contact: Contact | None = None  # None: a notice
    site: Site | None = None  # None: a notice or a digest
    agenda: Agenda
    notice: Notice | None = None
    digest: Digest | None = None
    is_last: bool = False  # no further text goes to this account today: this one says so and nothing else

    @property
    def language(self) -> str:
        """That the message is written in."""
        return (self.contact.language if self.contact is not None else None) or self.member.language or "en"


def told_by(agenda: Agenda, *, is_last: bool = False) -> dict[str, Any]:
    """What a message tells, for as long as it may have arrived."""
    return {
        "new": {warning.id: warning.severity for warning in agenda.new},
        "over": [warning.id for warning in agenda.over],
        "standing": [warning.id for warning in agenda.standing],
        "is_last": is_last,
    }


async def remembered(session: AsyncSession, body: dict[str, Any]) -> Agenda:
    """What a message told when it was sent before."""
    return Agenda(
        new=await warnings(session, list(body["new"])),
        over=await warnings(session, body["over"]),
        standing=await warnings(session, body["standing"]),
    )


async def warnings(session: AsyncSession, ids: Sequence[str]) -> list[Warning]:
    """Those that are still there, in the order of their ids."""
    found: dict[str, Warning] = {}
    for start in range(0, len(ids), 500):
        rows = await session.scalars(select(Warning).where(Warning.id.in_(ids[start : start + 500])))
        found |= {row.id: row for row in rows}
    return [found[each] for each in ids if each in found]
