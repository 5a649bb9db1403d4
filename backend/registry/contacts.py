"""Contacts: where warnings go, and which. Each member has their own address and phone, and may verify more."""

from __future__ import annotations

import calendar
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.registry.account_tables import Member
from backend.registry.errors import Invalid, Missing, Taken
from backend.registry.notify_tables import Contact
from backend.registry.sealed import account_keys_in
from backend.registry.sites import known_zone

MOST: Final = 50
"""Contacts of one account that are not a member's own."""

_DEFAULTS: Final[dict[str, dict[str, str]]] = {
    "email": {"severity": "warning", "digests": "daily"},
    "sms": {"severity": "critical", "digests": "none"},
    "webhook": {"severity": "warning", "digests": "none"},
}
_DIGEST_AT: Final = time(8)
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


async def add_own(session: AsyncSession, member: Member, *, now: datetime) -> None:
    """A new member's address and phone; used once they are verified."""
    for channel in ("email", *(["sms"] if member.phone is not None else [])):
        session.add(_new(member, channel, None, now))
    await session.flush()


async def renew_own(session: AsyncSession, member: Member, *, now: datetime) -> None:
    """A member has another address or phone, or one for the first time: what the old one failed at is forgotten."""
    rows = await session.scalars(select(Contact).where(Contact.member_id == member.id, Contact.address.is_(None)))
    own = {row.channel: row for row in rows}
    for row in own.values():
        if (member.email_failed_at if row.channel == "email" else member.phone_failed_at) is None:
            row.failed_at, row.failure = None, None
    if member.phone is not None and "sms" not in own:
        session.add(_new(member, "sms", None, now))
    await session.flush()


async def add(
    session: AsyncSession, member: Member, channel: str, address: str, label: str, *, now: datetime
) -> Contact:
    """One more, which has to be verified before it is told anything. The address is checked already.

    Raises `Taken`, or `Invalid` when there are too many.
    """
    count = await session.scalar(
        select(func.count()).where(Contact.account_id == member.account_id, Contact.address.is_not(None))
    )
    if (count or 0) >= MOST:
        raise Invalid(f"an account has {MOST} further contacts at most: remove one")
    made = _new(member, channel, address, now)
    made.label = label
    made.address_index = account_keys_in(session).index(member.account_id, address)
    made.secret = secrets.token_urlsafe(32) if channel == "webhook" else None
    session.add(made)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken("the account has this contact already") from error
    return made


async def listed(session: AsyncSession, account: AccountId) -> Sequence[tuple[Contact, Member]]:
    """All contacts of an account, in the order in which they are told."""
    rows = await session.execute(
        select(Contact, Member)
        .join(Member, Member.id == Contact.member_id)
        .where(Contact.account_id == account)
        .order_by(Contact.after_min, Contact.created_at, Contact.id)
    )
    return [(contact, member) for contact, member in rows]


async def find(session: AsyncSession, account: AccountId, contact: str, *, is_changed: bool = False) -> Contact:
    """One contact of an account. Raises `Missing`."""
    query = select(Contact).where(Contact.account_id == account, Contact.id == contact)
    found = await session.scalar(query.with_for_update() if is_changed else query)
    if found is None:
        raise Missing("there is no such contact in this account")
    return found


def next_digest(contact: Contact, after: datetime) -> datetime | None:
    """When its next digest is due: a morning (of a Monday, for a week's) in its own time zone. None: never."""
    if contact.digests == "none":
        return None
    zone = ZoneInfo(contact.time_zone)
    day = after.astimezone(zone).date()
    while True:
        due = datetime.combine(day, _DIGEST_AT, zone).astimezone(UTC)
        if due > after and (contact.digests == "daily" or day.weekday() == calendar.MONDAY):
            return due
        day += timedelta(days=1)


def webhook_url(value: str) -> str:
    """An address that a webhook may have. Raises `Invalid`; the message quotes nothing."""
    try:
        parts = urlsplit(value.strip())
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        raise Invalid("this is no address of a webhook") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or not has_port or len(value) > 300:
        raise Invalid("the address of a webhook is such as https://host/path, 300 characters at most")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Invalid("the address of a webhook has no user, password or fragment: messages are signed instead")
    return parts.geturl()


def checked_preferences(changes: dict[str, Any]) -> dict[str, Any]:
    """What a contact may be set to. Raises `Invalid`."""
    if "time_zone" in changes:
        known_zone(changes["time_zone"])
    for name in ("quiet_from", "quiet_to"):
        if (value := changes.get(name)) is not None and not _CLOCK.fullmatch(value):
            raise Invalid("quiet hours are times such as 22:00")
    return changes


def _new(member: Member, channel: str, address: str | None, now: datetime) -> Contact:
    defaults = _DEFAULTS[channel]
    made = Contact(
        id=ids.new("ctc"),
        account_id=member.account_id,
        member_id=member.id,
        channel=channel,
        label="",
        address=address,
        severity=defaults["severity"],
        sites=[],
        after_min=0,
        time_zone="UTC",
        critical_passes=True,
        digests=defaults["digests"],
        created_at=now,
    )
    made.digest_due_at = next_digest(made, now)
    return made
