"""Taking messages out of the outbox, and writing down what became of them.

A message is claimed by a lease, so that two backends never send one at once; who dies lets the lease run out, and the
message is sent again under the same id. What it tells is fixed by the first claim and stays so for as long as it may
have arrived; after a failure that cannot have delivered it, the next claim decides anew what is worth telling.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog
from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts.mailing import NOTICE
from backend.config import Notify
from backend.notify import caps, digests, failing, verifying
from backend.notify.agenda import Agenda, Planner
from backend.notify.claim import Claim, remembered, told_by, warnings
from backend.notify.notices import addressed
from backend.notify.outbox import GIVE_UP, KIND, Outbox, insert_new, last_sent, look_again, new_row
from backend.notify.routing import Channel, address
from backend.privacy import purposes
from backend.registry.account_tables import Member
from backend.registry.database import Database
from backend.registry.notify_tables import Contact, OutboxMessage, Telling
from backend.registry.site_tables import Site
from backend.warnings.severity import Severity

LEASE: Final = timedelta(seconds=90)
"""Longer than a send may take (`dispatcher.DEADLINE_S`), with room for two clocks that differ a little."""

PURPOSES: Final[Mapping[str, str]] = {KIND: "monitoring", digests.KIND: "monitoring", NOTICE: "notices"}
"""What each kind of message is for, by the register of purposes; asked when it is sent, since by then somebody may have
objected. Promotion goes by letters (`backend.privacy.letters`), never from here."""

_LOOKED_AT: Final = 50
"""Messages that one transaction may find to have nothing to say before it lets others write."""

_LOOK_AGAIN: Final = timedelta(minutes=5)
"""Whether a restriction was lifted, or a fault of ours mended."""

T = TypeVar("T")

_log = structlog.get_logger()


class Claims:
    """The outbox, seen by who sends."""

    def __init__(self, database: Database, planner: Planner, settings: Notify) -> None:
        self._database = database
        self._planner = planner
        self._settings = settings
        self._outbox = Outbox(settings)

    async def next_due(self, channels: Iterable[Channel]) -> datetime | None:
        """When the next message of these channels is due; None when none waits."""
        async with self._database.read() as session:
            ready_at = case(
                (OutboxMessage.claimed_until > OutboxMessage.due_at, OutboxMessage.claimed_until),
                else_=OutboxMessage.due_at,
            )
            due_at: datetime | None = await session.scalar(
                select(func.min(ready_at)).where(
                    _is_open(), OutboxMessage.channel.in_([each.value for each in channels])
                )
            )
            return due_at

    async def claim(self, channel: Channel, *, now: datetime) -> Claim | None:
        """The message that has been due for longest, as ours; None when none is.

        Messages with nothing to say are put off or removed on the way.
        """
        while True:
            async with self._database.begin() as session:
                rows = await session.scalars(
                    select(OutboxMessage)
                    .where(
                        _is_open(),
                        OutboxMessage.channel == channel.value,
                        OutboxMessage.due_at <= now,
                        or_(OutboxMessage.claimed_until.is_(None), OutboxMessage.claimed_until <= now),
                    )
                    .order_by(OutboxMessage.due_at, OutboxMessage.id)
                    .limit(_LOOKED_AT)
                    .with_for_update(skip_locked=True)
                )
                found = rows.all()
                for row in found:
                    if claim := await self._take_or_put_off(session, row, now):
                        return claim
            if not found:
                return None

    async def _take_or_put_off(self, session: AsyncSession, row: OutboxMessage, now: datetime) -> Claim | None:
        """A fault of ours in one message stops no other: it waits until it is given up, and says why."""
        expires_at = row.expires_at  # a rollback forgets what the row was
        claim, fault = await _unharmed(session, row.id, self._take(session, row, now))
        if fault is not None:
            row.due_at, row.last_error = now + _LOOK_AGAIN, fault
            row.failed_at = now if expires_at <= now else None
        return claim

    async def _take(self, session: AsyncSession, row: OutboxMessage, now: datetime) -> Claim | None:
        member = await session.get_one(Member, row.member_id)
        if not await purposes.may_use(session, member.id, PURPOSES[row.kind]):
            row.due_at, row.expires_at = now + _LOOK_AGAIN, now + GIVE_UP
            return None
        if row.kind == NOTICE:
            return await _take_notice(session, row, member, now)
        contact = await session.get_one(Contact, row.contact_id)
        to = address(contact, member)
        if to is None:
            await session.delete(row)
            return None
        if row.kind == digests.KIND:
            return await _take_digest(session, row, member, contact, to, now)
        site = await session.get_one(Site, row.site_id)
        agenda = await (remembered(session, row.body) if row.body else self._decide(session, row, site, contact, now))
        if agenda is None:
            return None
        if row.attempts == 0:
            row.expires_at = now + GIVE_UP  # it may have waited for long, for a channel that was not set up
        claim = _claimed(row, member, contact, to, now)
        return replace(claim, site=site, agenda=agenda, is_last=bool(row.body.get("is_last")))

    async def _decide(
        self, session: AsyncSession, row: OutboxMessage, site: Site, contact: Contact, now: datetime
    ) -> Agenda | None:
        """What a message tells from now on; None: nothing now, it was put off or removed."""
        agenda = await self._planner.agenda(session, site, contact, now=now)
        last = (await last_sent(session, [row.dedup_key])).get(row.dedup_key)
        due_at = agenda.due(last, self._settings, now)
        if due_at is None:
            await session.delete(row)
            return None
        is_last = False
        if due_at <= now and row.channel == Channel.SMS:
            room = await caps.room(session, row.account_id, self._settings.sms_per_day, now=now)
            is_last, due_at = room.is_last, room.again_at or due_at
        if due_at > now:
            row.due_at, row.expires_at = due_at, max(row.expires_at, due_at + GIVE_UP)
            return None
        told = Agenda() if is_last else agenda
        row.body = told_by(told, is_last=is_last)
        return told

    async def sent(self, claim: Claim, *, now: datetime) -> None:
        """It left: remember who knows what, and open the next message if there is more to say."""
        async with self._database.begin() as session:
            row = await _locked(session, claim)
            if row is None or row.sent_at is not None:
                return  # sent twice, by us and by whoever held it after our lease: told once
            row.sent_at, row.claimed_until, row.last_error = now, None, None
            if row.body.get("notice") == verifying.PING:
                contact = await session.get_one(Contact, row.contact_id)
                verifying.is_verified(contact, now)
                await look_again(session, contact, now=now)
            if claim.site is not None:
                await _tell(session, row)
                await session.flush()
                await self._follow(session, claim, claim.site, now, now)

    async def retry(self, claim: Claim, error: str, *, due_at: datetime, may_have_arrived: bool, now: datetime) -> bool:
        """It did not leave: try again at `due_at`. False: it is given up, the time is over."""
        async with self._database.begin() as session:
            row = await _locked(session, claim)
            if row is None or not _is_ours(row, claim):
                return True
            row.claimed_until, row.last_error = None, error[:500]
            if due_at <= row.expires_at:
                row.due_at = due_at
                row.body = row.body if may_have_arrived or claim.site is None else {}
                return True
            row.failed_at = now
            await session.flush()
            if claim.site is not None:
                await self._follow(session, claim, claim.site, now, now)
            return False

    async def fail(self, claim: Claim, error: str, *, is_contact_bad: bool, now: datetime) -> None:
        """It never will. A bad contact gets nothing any more until it is verified anew."""
        async with self._database.begin() as session:
            if claim.contact is not None and is_contact_bad:
                await failing.turn(session, claim.contact.id)
            row = await _locked(session, claim)
            if row is None or not _is_ours(row, claim):
                return
            row.failed_at, row.claimed_until, row.last_error = now, None, error[:500]
            await session.flush()
            if claim.contact is not None and is_contact_bad:
                await failing.mark(session, claim.contact.id, error, self._outbox, now=now)
            elif claim.site is not None:
                last = now + timedelta(seconds=self._settings.repeat_s)
                await self._follow(session, claim, claim.site, last, now)

    async def _follow(self, session: AsyncSession, claim: Claim, site: Site, last: datetime, now: datetime) -> None:
        """Open the next message to this contact and site, if there is anything to say, now or later."""
        if claim.contact is None or (contact := await session.get(Contact, claim.contact.id)) is None:
            return
        agenda, fault = await _unharmed(session, claim.id, self._planner.agenda(session, site, contact, now=now))
        due_at = agenda.due(last, self._settings, now) if agenda is not None else None
        if fault is not None:  # what became of this message is true all the same: decide about the next one later
            due_at = now + _LOOK_AGAIN
        if due_at is not None:
            await insert_new(session, [new_row(site.id, contact, due_at=due_at, now=now)])


async def _take_digest(
    session: AsyncSession, row: OutboxMessage, member: Member, contact: Contact, to: str, now: datetime
) -> Claim | None:
    digest = await digests.gather(session, contact, row.body)
    if digest is None or row.expires_at <= now or contact.digests == "none":
        await session.delete(row)
        return None
    return replace(_claimed(row, member, contact, to, now), digest=digest)


def _claimed(row: OutboxMessage, member: Member, contact: Contact | None, to: str, now: datetime) -> Claim:
    """One more try of a message, ours until the lease ends; what it says is the caller's to fill in."""
    row.attempts += 1
    row.claimed_until = now + LEASE
    return Claim(
        id=row.id,
        attempt=row.attempts,
        created_at=row.created_at,
        channel=Channel(row.channel),
        to=to,
        member=member,
        contact=contact,
        agenda=Agenda(),
    )


async def _take_notice(session: AsyncSession, row: OutboxMessage, member: Member, now: datetime) -> Claim | None:
    """A notice says what it says: nothing is gathered, nothing follows, and it is of no use for ever."""
    found = await addressed(session, row, member, now)
    if found is None or row.expires_at <= now:
        await session.delete(row)
        return None
    to, notice = found
    contact = await session.get(Contact, row.contact_id) if row.contact_id is not None else None
    return replace(_claimed(row, member, contact, to, now), notice=notice)


async def _unharmed(session: AsyncSession, message: str, work: Awaitable[T]) -> tuple[T | None, str | None]:
    """What the work gives; or, when a fault of ours ends it, nothing of what it changed, and the fault."""
    try:
        async with session.begin_nested():
            return await work, None
    except SQLAlchemyError:
        raise  # the registry's, and as much every other message's
    except Exception as error:  # noqa: BLE001 (said with its trace; what else is done about it is the caller's)
        _log.exception("message.fault", message=message)
        return None, f"fault: {type(error).__name__}"


def _is_open() -> ColumnElement[bool]:
    is_ours = OutboxMessage.kind.in_(list(PURPOSES))
    return is_ours & OutboxMessage.sent_at.is_(None) & OutboxMessage.failed_at.is_(None)


async def _locked(session: AsyncSession, claim: Claim) -> OutboxMessage | None:
    return await session.get(OutboxMessage, claim.id, with_for_update=True)


def _is_ours(row: OutboxMessage, claim: Claim) -> bool:
    return row.attempts == claim.attempt and row.sent_at is None and row.failed_at is None


async def _tell(session: AsyncSession, row: OutboxMessage) -> None:
    """Write down what the contact knows now."""
    for warning in await warnings(session, list(row.body["new"])):
        key = {"warning_id": warning.id, "contact_id": row.contact_id}
        telling = await session.get(Telling, key)
        if telling is None:
            telling = Telling(**key, member_id=row.member_id, channel=row.channel, account_id=row.account_id)
            session.add(telling)
        telling.severity = Severity(row.body["new"][warning.id]).value
        telling.message_id = row.id
    over = row.body["over"]
    for start in range(0, len(over), 500):
        await session.execute(
            update(Telling)
            .where(
                Telling.warning_id.in_(over[start : start + 500]),
                Telling.contact_id == row.contact_id,
            )
            .values(over_message_id=row.id)
        )
