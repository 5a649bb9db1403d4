"""Notices to people: written to the outbox with what causes them, no more often than anybody needs them.

A notice names a challenge, or nothing but its kind; its words and secrets are made when it is sent
(`backend.notify.notices`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import challenges, throttle
from backend.registry.login_tables import Challenge
from backend.registry.notify_tables import OutboxMessage
from backend.registry.sealed import keys_in

NOTICE: Final = "notice"
"""The kind of these messages in the outbox."""

_USELESS_AFTER: Final = timedelta(hours=24)


async def may_write_to(session: AsyncSession, contact: str, *, now: datetime) -> bool:
    """Counts; False when this contact, whoever's it is, gets too many: nobody's phone is to be filled by strangers."""
    [key, *_] = keys_in(session).macs(b"written to", contact)
    if await throttle.wait_s(session, key, now=now) > 0:
        return False
    await throttle.count_failure(session, key, now=now)
    return True


async def send(session: AsyncSession, challenge: Challenge, *, account: str, member: str, now: datetime) -> None:
    """See to it that the challenge reaches its contact. `member`: on whose behalf."""
    channel: Literal["email", "sms"] = "sms" if challenge.purpose in challenges.TYPED else "email"
    body = {"notice": challenge.purpose, "challenge": challenge.id}
    _write(session, account, member, channel, challenge.id, body, expires_at=challenge.expires_at, now=now)


async def tell(
    session: AsyncSession,
    notice: str,
    *,
    account: str,
    member: str,
    channel: Literal["email", "sms"] = "email",
    about: str | None = None,
    now: datetime,
) -> None:
    """A notice without a challenge. `about`: the id of what it tells of."""
    body = {"notice": notice} | ({"about": about} if about is not None else {})
    _write(session, account, member, channel, ids.new("ntc"), body, expires_at=now + _USELESS_AFTER, now=now)


def _write(
    session: AsyncSession,
    account: str,
    member: str,
    channel: str,
    about: str,
    body: dict[str, str],
    *,
    expires_at: datetime,
    now: datetime,
) -> None:
    session.add(
        OutboxMessage(
            id=ids.new("msg"),
            account_id=account,
            site_id=None,
            member_id=member,
            channel=channel,
            kind=NOTICE,
            dedup_key=f"{NOTICE}:{about}",
            body=body,
            created_at=now,
            due_at=now,
            expires_at=expires_at,
            attempts=0,
        )
    )
