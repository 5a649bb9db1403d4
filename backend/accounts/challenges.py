"""Challenges: what is sent to a contact and can only be sent back by who reads there.

The secret (a link's token, a text's six digits) is derived from the challenge's id under the contacts' key, so that it
is in no table, outbox or log, and a message that is sent again says the same. A challenge is good once and for a while;
six digits have few tries.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.registry.login_tables import Challenge
from backend.registry.sealed import keys_in
from backend.registry.sealing import Keys

Purpose = Literal[
    "email", "phone", "guardian", "password", "invitation", "contact_email", "contact_sms", "new_email", "new_phone"
]

LIFETIME: Final[Mapping[str, timedelta]] = {
    "email": timedelta(hours=24),
    "phone": timedelta(hours=24),  # as long as the registration: its tries are counted instead
    "guardian": timedelta(hours=24),
    "password": timedelta(hours=1),
    "invitation": timedelta(days=7),
    "contact_email": timedelta(hours=24),
    "contact_sms": timedelta(hours=24),
    "new_email": timedelta(hours=24),
    "new_phone": timedelta(hours=24),
}
TRIES: Final = 5
"""For the digits of a text: one chance in 200 000."""

_DIGITS: Final = 6
TYPED: Final = frozenset({"phone", "contact_sms", "new_phone"})
"""What goes to a phone is typed by hand: digits, not a link."""


async def issue(
    session: AsyncSession,
    purpose: Purpose,
    *,
    contact: str,
    account: str | None = None,
    member: str | None = None,
    staff: str | None = None,
    role: str | None = None,
    now: datetime,
) -> Challenge:
    """A new one; those of the same kind for the same person end."""
    if member is not None and purpose != "invitation":
        await session.execute(
            update(Challenge)
            .where(Challenge.member_id == member, Challenge.purpose == purpose, Challenge.used_at.is_(None))
            .values(used_at=now, contact=None)
        )
    challenge = Challenge(
        id=ids.new("chl"),
        purpose=purpose,
        account_id=account,
        member_id=member,
        staff_id=staff,
        contact=contact,
        role=role,
        tries=0,
        created_at=now,
        expires_at=now + LIFETIME[purpose],
    )
    session.add(challenge)
    await session.flush()
    return challenge


def secret(keys: Keys, challenge: Challenge) -> str:
    """What to send: six digits for a phone, else a token that names its challenge."""
    return _secrets(keys, challenge)[0]


async def redeem(session: AsyncSession, purpose: Purpose, token: str, *, now: datetime) -> Challenge | None:
    """Use up the challenge of a link's token; None for one that opens nothing."""
    challenge_id, _, _ = token.partition(".")
    challenge = await session.get(Challenge, challenge_id, with_for_update=True)
    if challenge is None or challenge.purpose != purpose:
        return None
    return await answer(session, challenge, token, now=now)


async def answer(session: AsyncSession, challenge: Challenge, presented: str, *, now: datetime) -> Challenge | None:
    """Use up a challenge by its secret. A wrong try is counted, in the caller's transaction: let it commit."""
    if challenge.used_at is not None or challenge.expires_at <= now or challenge.tries >= TRIES:
        return None
    fits = [
        hmac.compare_digest(each.encode(), presented.strip().encode()) for each in _secrets(keys_in(session), challenge)
    ]
    if not any(fits):
        challenge.tries += 1 if challenge.purpose in TYPED else 0
        return None
    challenge.used_at = now
    return challenge


async def forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Remove what opens nothing any more."""
    await session.execute(delete(Challenge).where(Challenge.expires_at <= now))


def _secrets(keys: Keys, challenge: Challenge) -> list[str]:
    """Under each key: a rotation meanwhile ends no challenge."""
    macs = [bytes.fromhex(mac) for mac in keys.macs(b"challenge", f"{challenge.purpose}:{challenge.id}")]
    if challenge.purpose in TYPED:
        return [f"{int.from_bytes(mac[:8], 'big') % 10**_DIGITS:0{_DIGITS}}" for mac in macs]
    return [f"{challenge.id}.{base64.urlsafe_b64encode(mac[:24]).decode()}" for mac in macs]
