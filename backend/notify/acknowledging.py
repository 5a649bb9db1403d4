"""Acknowledging by the link in a message: whoever holds it cares for what the message told; nobody has to log in.

The link is signed, good for a week after its message was written, and does nothing by being looked at: programs that
scan mails follow links, and only the button of the page acknowledges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from backend.notify.claim import warnings
from backend.notify.links import ACKNOWLEDGE_FOR, acknowledged_by
from backend.notify.tongue import Tongue
from backend.privacy import audit
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact, OutboxMessage
from backend.registry.sealed import keys_in
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning


@dataclass(frozen=True, slots=True)
class Told:
    """A message that a link was in."""

    row: OutboxMessage
    site: Site
    tongue: Tongue
    open: Sequence[Warning]  # what still fires and nobody cares for


async def look(session: AsyncSession, token: str, *, now: datetime) -> Told | None:
    """What a link is about; None when it was not made here, or is over."""
    message = acknowledged_by(keys_in(session), token)
    row = await session.get(OutboxMessage, message) if message is not None else None
    if row is None or row.site_id is None or row.created_at + ACKNOWLEDGE_FOR <= now:
        return None
    member = await session.get_one(Member, row.member_id)
    contact = await session.get(Contact, row.contact_id) if row.contact_id is not None else None
    language = (contact.language if contact is not None else None) or member.language
    told = await warnings(session, [*row.body.get("new", ()), *row.body.get("standing", ())])
    return Told(
        row=row,
        site=await session.get_one(Site, row.site_id),
        tongue=Tongue.of(language, contact.time_zone if contact is not None else "UTC"),
        open=[each for each in told if each.resolved_at is None and each.acknowledged_at is None],
    )


async def acknowledge(session: AsyncSession, token: str, *, now: datetime) -> Told | None:
    """Care for all of it; asked again, it changes nothing. None as for `look`."""
    told = await look(session, token, now=now)
    if told is not None and told.open:
        for warning in told.open:
            warning.acknowledged_at = now
        await audit.record(
            session,
            actor=told.row.member_id,
            action="warnings.acknowledged",
            account=told.row.account_id,
            subject=told.row.id,
            now=now,
        )
    return told
