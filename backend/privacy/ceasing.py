"""The end of the whole service: nothing comes in any more, everybody is told, then all personal data is erased.

Decided by one command. The running service does the rest, an account at a time: killed in the middle, it goes on when
it starts. What a legal hold keeps goes when the hold ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId
from backend.privacy import announcing, audit, erasing, letters
from backend.registry.account_tables import Account, Member, Staff
from backend.registry.database import Database
from backend.registry.errors import Forbidden, Invalid, Taken
from backend.registry.login_tables import Challenge, Login, Throttle
from backend.registry.privacy_tables import Feedback, LegalHold, Letter, Visit
from backend.registry.rights_tables import AffectedMember, Cessation, Request
from backend.store.protocol import Store

log = structlog.get_logger()

ABOUT: Final = "cessation"
"""What its letters and its announcement are about."""
PATIENCE: Final = timedelta(days=3)
"""So long letters that cannot be sent hold the erasure up."""

_PERSONAL: Final[Sequence[Any]] = (
    Letter, AffectedMember, Request, Feedback, Challenge, Throttle, Visit, Login, Staff,
)  # fmt: skip
"""Tables of what is left of people when all accounts are gone: of staff, visitors, who wrote letters."""
_ONE: Final = 1
_BEGUN: Final = select(Cessation.__table__.c.id)  # every batch asks it


@dataclass(frozen=True, slots=True)
class Scale:
    """What there is to be done."""

    accounts: int
    held: int  # which the law keeps for now
    members: int


async def scale(session: AsyncSession, *, now: datetime) -> Scale:
    """What is left; changes nothing."""
    held = select(func.count(LegalHold.account_id.distinct())).where(LegalHold.ends_at > now)
    accounts = await session.scalar(select(func.count()).select_from(Account))
    members = await session.scalar(select(func.count()).select_from(Member))
    return Scale(accounts or 0, await session.scalar(held) or 0, members or 0)


async def begin(session: AsyncSession, text: str, *, notice: timedelta, by: str, now: datetime) -> Cessation:
    """From the end of this transaction on nothing comes in; all are told. Raises `Taken` or `Invalid`."""
    if await state(session) is not None:
        raise Taken("the end was decided before")
    if not text.strip():
        raise Invalid("an announcement says something")
    made = Cessation(id=_ONE, begun_at=now, erases_at=now + notice)
    session.add(made)
    told = (
        f"{text.strip()}\n\nFrom now on nothing is stored. All personal data is erased on {made.erases_at:%Y-%m-%d}.\n"
    )
    announcing.publish(session, about=ABOUT, title="The service ends", text=told, now=now)
    for member in await session.scalars(select(Member)):
        letters.write(
            session, about=ABOUT, purpose="notices", to=member, subject="The service ends", text=told, now=now
        )
    await audit.record(session, actor=by, action="cessation begun", now=now)
    return made


async def state(session: AsyncSession) -> Cessation | None:
    """None: the service goes on."""
    return await session.get(Cessation, _ONE)


async def is_begun(session: AsyncSession) -> bool:
    """Whether nothing is taken any more."""
    return (await (await session.connection()).execute(_BEGUN)).first() is not None


async def go_on(database: Database, store: Store, *, erased_file: Path, now: datetime) -> None:
    """Do what is due; safe to kill and to do again."""
    async with database.read() as session:
        found = await state(session)
        if found is None or found.erased_at is not None or now < found.erases_at:
            return
        if now < found.erases_at + PATIENCE and await _are_letters_open(session):
            return
        accounts = (await session.scalars(select(Account.id).order_by(Account.id))).all()
    for account in accounts:
        try:
            await erasing.cancel(
                database, store, AccountId(account), erased_file=erased_file, actor="job:cessation", now=now
            )
        except Forbidden as error:
            log.warning("cessation.account_held", account=account, reason=str(error))
    async with database.begin() as session:
        if await session.scalar(select(Account.id).limit(1)) is not None:
            return
        for table in _PERSONAL:
            await session.execute(delete(table))
        await audit.record(session, actor="job:cessation", action="cessation ended", now=now)
        (await session.get_one(Cessation, _ONE)).erased_at = now
    log.info("cessation.ended")


async def _are_letters_open(session: AsyncSession) -> bool:
    query = select(Letter.id).where(Letter.about == ABOUT, Letter.sent_at.is_(None), Letter.failed_at.is_(None))
    return await session.scalar(query.limit(1)) is not None
