"""Showing that a contact is its member's to give: a link by mail, a code by text, an answer to a signed message.

Nothing else is sent to a contact before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import challenges, mailing
from backend.accounts.mailing import NOTICE
from backend.notify.outbox import insert_new
from backend.notify.routing import Channel
from backend.registry.login_tables import Challenge
from backend.registry.notify_tables import Contact, OutboxMessage
from backend.registry.sealed import account_keys_in

PING: Final = "contact_webhook"
"""The notice that a webhook is verified by taking."""

_PING_FOR: Final = timedelta(hours=24)
_BY_CHALLENGE: Final[dict[str, Literal["contact_email", "contact_sms"]]] = {
    Channel.EMAIL.value: "contact_email",
    Channel.SMS.value: "contact_sms",
}


async def ask(session: AsyncSession, contact: Contact, *, now: datetime) -> bool:
    """Send what verifies it; False when there is too much of that. The address is not the member's own."""
    where = contact.address or ""
    if not await mailing.may_write_to(session, where, now=now):
        return False
    if contact.channel == Channel.WEBHOOK:
        await _ping(session, contact, now)
        return True
    purpose = _BY_CHALLENGE[contact.channel]
    asked = await challenges.issue(
        session, purpose, contact=where, account=contact.account_id, member=contact.member_id, now=now
    )
    await mailing.send(session, asked, account=contact.account_id, member=contact.member_id, now=now)
    return True


async def by_link(session: AsyncSession, token: str, *, now: datetime) -> Contact | None:
    """Whoever follows the link reads there; None for a link that opens nothing."""
    used = await challenges.redeem(session, "contact_email", token, now=now)
    if used is None or used.contact is None or used.account_id is None:
        return None
    found: Contact | None = await session.scalar(
        select(Contact).where(
            Contact.account_id == used.account_id,
            Contact.member_id == used.member_id,
            Contact.address_index == account_keys_in(session).index(used.account_id, used.contact),
            Contact.channel == Channel.EMAIL.value,
        )
    )
    used.contact = None
    if found is not None:
        is_verified(found, now)
    return found


async def by_code(session: AsyncSession, contact: Contact, code: str, *, now: datetime) -> bool:
    """Whether the code is that of this phone. A wrong try is counted, in the caller's transaction: let it commit."""
    asked = await session.scalar(
        select(Challenge)
        .where(
            Challenge.member_id == contact.member_id, Challenge.purpose == "contact_sms", Challenge.used_at.is_(None)
        )
        .with_for_update()
    )
    if asked is None or asked.contact != contact.address:
        return False
    if await challenges.answer(session, asked, code, now=now) is None:
        return False
    asked.contact = None
    is_verified(contact, now)
    return True


def is_verified(contact: Contact, now: datetime) -> None:
    """From now on it is told; what it failed at before is forgotten."""
    contact.verified_at, contact.failed_at, contact.failure = now, None, None


async def _ping(session: AsyncSession, contact: Contact, now: datetime) -> None:
    row = {
        "id": ids.new("msg"),
        "account_id": contact.account_id,
        "site_id": None,
        "member_id": contact.member_id,
        "contact_id": contact.id,
        "channel": contact.channel,
        "kind": NOTICE,
        "dedup_key": f"{NOTICE}:{contact.id}",
        "body": {"notice": PING},
        "created_at": now,
        "due_at": now,
        "expires_at": now + _PING_FOR,
        "attempts": 0,
    }
    if not await insert_new(session, [row]):  # it is asked again while the last one waits for a server that was away
        waiting = (OutboxMessage.dedup_key == row["dedup_key"]) & OutboxMessage.sent_at.is_(None)
        values = {"due_at": now, "expires_at": now + _PING_FOR}
        await session.execute(update(OutboxMessage).where(waiting, OutboxMessage.failed_at.is_(None)).values(values))
