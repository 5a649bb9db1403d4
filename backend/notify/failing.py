"""A contact that no message will reach any more: it is marked, and the account is told by other ways."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import mailing
from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.notify.routing import Channel, contact
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact, OutboxMessage
from backend.registry.site_tables import Site
from backend.warnings.severity import Severity

_log = structlog.get_logger()


async def turn(session: AsyncSession, contact_id: str) -> Contact | None:
    """Two messages to one contact that fail at once, also at two backends, take turns: asked before any message of it
    is locked. Weakly, so that new messages to it can be written meanwhile.
    """
    return await session.get(Contact, contact_id, with_for_update={"key_share": True})


async def mark(session: AsyncSession, contact_id: str, error: str, outbox: Outbox, *, now: datetime) -> None:
    """Nothing goes there until it is verified anew. Who else can be reached learns that, and what it was to tell.
    Marked already, nothing changes.
    """
    failed = await turn(session, contact_id)
    if failed is None or failed.failed_at is not None:
        return
    failed.failed_at, failed.failure = now, error[:200]
    if failed.address is None:
        member = await session.get_one(Member, failed.member_id)
        match failed.channel:
            case Channel.EMAIL:
                member.email_failed_at = now
            case Channel.SMS:
                member.phone_failed_at = now
    await session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.contact_id == failed.id, OutboxMessage.sent_at.is_(None), OutboxMessage.failed_at.is_(None)
        )
        .values(failed_at=now, last_error=error[:500])
    )
    await session.flush()
    for owner in await session.scalars(
        select(Member).where(Member.account_id == failed.account_id, Member.role.in_(("owner", "manager")))
    ):
        if contact(owner, Channel.EMAIL) is not None or contact(owner, Channel.SMS) is not None:
            by: Literal["email", "sms"] = "email" if contact(owner, Channel.EMAIL) is not None else "sms"
            await mailing.tell(
                session, "bounced", account=owner.account_id, member=owner.id, channel=by, about=failed.id, now=now
            )
    for site in await session.scalars(select(Site.id).where(Site.account_id == failed.account_id)):
        await outbox.announce(session, AccountId(failed.account_id), SiteId(site), severities=Severity, now=now)
    _log.warning("contact.failed", contact=failed.id, channel=failed.channel, reason=error)
