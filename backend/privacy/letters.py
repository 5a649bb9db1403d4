"""Letters: notices to one person that are neither warnings nor part of a log-in, each delivery tracked.

A letter names a purpose (`backend.privacy.purposes`); whether it may be used for this member is asked when it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.config import Contact
from backend.notify.protocol import Message, NeverDeliverable, Notifier, TryLater
from backend.notify.routing import Channel, contact
from backend.privacy import links, purposes
from backend.registry.account_tables import Member, Staff
from backend.registry.database import Database
from backend.registry.privacy_tables import Letter
from backend.registry.sealed import keys_in

log = structlog.get_logger()

_DEADLINE_S: Final = 30.0
_AT_ONCE: Final = 8
_PAUSES: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720, 1440))


def write(
    session: AsyncSession,
    *,
    about: str,
    purpose: str,
    to: Member | Staff,
    subject: str,
    text: str,
    channel: Channel = Channel.EMAIL,
    now: datetime,
) -> Letter:
    """Put a letter into the post, in the transaction of what it tells of. Raises `KeyError`: no such purpose."""
    purposes.REGISTER[purpose]
    letter = Letter(
        id=ids.new("ltr"),
        about=about,
        purpose=purpose,
        account_id=to.account_id if isinstance(to, Member) else None,
        member_id=to.id if isinstance(to, Member) else None,
        staff_id=to.id if isinstance(to, Staff) else None,
        channel=channel.value,
        subject=subject,
        text=text,
        created_at=now,
        due_at=now,
        attempts=0,
    )
    session.add(letter)
    return letter


async def write_to_admins(session: AsyncSession, *, about: str, subject: str, text: str, now: datetime) -> None:
    """A letter to each administrator."""
    for admin in await session.scalars(select(Staff).where(Staff.role == "admin", Staff.ended_at.is_(None))):
        write(session, about=about, purpose="law", to=admin, subject=subject, text=text, now=now)


async def of(session: AsyncSession, about: str) -> list[Letter]:
    """All letters about one thing."""
    return list(await session.scalars(select(Letter).where(Letter.about == about).order_by(Letter.id)))


class Post:
    """Takes letters to the notifiers."""

    def __init__(
        self, database: Database, notifiers: Mapping[Channel, Notifier], contact: Contact, public_url: str
    ) -> None:
        self._database = database
        self._notifiers = dict(notifiers)
        self._contact = contact
        self._public_url = public_url.rstrip("/")

    async def deliver(self, *, now: datetime) -> None:
        """Send all letters that are due."""
        async with self._database.read() as session:
            query = select(Letter.id).where(
                Letter.sent_at.is_(None),
                Letter.failed_at.is_(None),
                Letter.due_at <= now,
                Letter.channel.in_([channel.value for channel in self._notifiers]),
            )
            due = (await session.scalars(query.order_by(Letter.due_at, Letter.id))).all()
        for start in range(0, len(due), _AT_ONCE):
            async with asyncio.TaskGroup() as sending:
                for letter in due[start : start + _AT_ONCE]:
                    sending.create_task(self._deliver(letter, now), name=f"letter {letter}")

    async def _deliver(self, letter_id: str, now: datetime) -> None:
        async with self._database.begin() as session:
            letter = await session.get(Letter, letter_id)
            if letter is None:
                return
            message = await self._message(session, letter, now)
            if message is None:
                letter.failed_at, letter.last_error = now, "nobody to be reached, or they do not want it"
                return
            letter.attempts += 1
            letter.due_at = now + _PAUSES[min(letter.attempts, len(_PAUSES)) - 1]
        error: str | None = None
        is_over = False
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._notifiers[Channel(letter.channel)].send(message)
        except NeverDeliverable as refused:
            error, is_over = str(refused), True
        except TryLater as refused:
            error, is_over = str(refused), letter.attempts >= len(_PAUSES)
        except TimeoutError:
            error, is_over = "no answer within the deadline", letter.attempts >= len(_PAUSES)
        async with self._database.begin() as session:
            found = await session.get(Letter, letter_id)
            if found is None:
                return
            found.sent_at = now if error is None else None
            found.failed_at = now if is_over else None
            found.last_error = error
        log.info("letter.sent" if error is None else "letter.not_sent", letter=letter_id, reason=error)

    async def _message(self, session: AsyncSession, letter: Letter, now: datetime) -> Message | None:
        to: str | None = None
        unsubscribe: str | None = None
        if letter.member_id is not None:
            member = await session.get_one(Member, letter.member_id)
            if await purposes.may_use(session, member.id, letter.purpose):
                to = contact(member, Channel(letter.channel))
            if letter.purpose == purposes.MARKETING:
                token = links.token(keys_in(session), "unsubscribe", member.id)
                unsubscribe = f"{self._public_url}/v1/unsubscribe?token={token}"
        elif letter.staff_id is not None:
            staff = await session.get_one(Staff, letter.staff_id)
            to = staff.email if staff.ended_at is None else None
        if to is None:
            return None
        foot = f"Questions or objections: {self._contact.name} <{self._contact.email}>" if self._contact.email else ""
        stop = f"To get no more of these: {unsubscribe}\n" if unsubscribe else ""
        is_text = letter.channel == Channel.SMS.value
        return Message(
            id=letter.id,
            to=to,
            topic=letter.purpose,
            subject=letter.subject,
            text=letter.text if is_text else f"{letter.text}\n\n-- \n{self._contact.name}\n{foot}\n{stop}",
            html=None,
            created_at=letter.created_at,
            unsubscribe_url=unsubscribe,
        )
