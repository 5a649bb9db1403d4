"""Legal disclosures: what an authority demands leaves only on a recorded basis, and when two of the staff approve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.privacy import audit, exports
from backend.registry.account_tables import Account
from backend.registry.errors import Forbidden, Invalid, Missing, Taken
from backend.registry.rights_tables import Export, LegalDisclosure

_SHORTEST: Final = 10


async def record(
    session: AsyncSession, staff: str, *, account: str, authority: str, basis: str, now: datetime
) -> LegalDisclosure:
    """An authority demands data of an account. Raises `Missing` or `Invalid`."""
    if await session.get(Account, account) is None:
        raise Missing(f"there is no account {account}")
    if len(basis.strip()) < _SHORTEST or not authority.strip():
        raise Invalid("say which authority demands it, and on what basis: the law, the order and its number")
    made = LegalDisclosure(
        id=ids.new("ldc"),
        account_id=account,
        authority=authority.strip(),
        basis=basis.strip(),
        recorded_by=staff,
        recorded_at=now,
    )
    session.add(made)
    await session.flush()
    await _note(session, made, staff, "recorded", now)
    return made


async def approve(session: AsyncSession, staff: str, disclosure: str, *, now: datetime) -> LegalDisclosure:
    """One of two persons approves. Raises `Missing`, `Taken`, or `Forbidden`: the same person twice."""
    found = await find(session, disclosure, is_changed=True)
    if found.second_by is not None:
        raise Taken("two people approved it already")
    if found.first_by == staff:
        raise Forbidden("you approved it: it takes another person")
    if found.first_by is None:
        found.first_by, found.first_at = staff, now
    else:
        found.second_by, found.second_at = staff, now
    await _note(session, found, staff, "approved", now)
    return found


async def prepare(session: AsyncSession, staff: str, disclosure: str, *, now: datetime) -> Export:
    """Have the account's archive made for it. Raises `Missing`, `Taken`, or `Forbidden` without two approvals."""
    found = await find(session, disclosure)
    require_approved(found)
    if await session.get(Account, found.account_id) is None:
        raise Missing("there is no such account any more: nothing is left to hand over")
    await _note(session, found, staff, "prepared", now)
    return await exports.ask(session, AccountId(found.account_id), staff, legal=found.id, now=now)


async def hand_over(session: AsyncSession, staff: str, disclosure: str, *, now: datetime) -> Export:
    """The archive to hand over; that it was is written down. Raises `Missing` or `Forbidden`."""
    found = await find(session, disclosure, is_changed=True)
    require_approved(found)
    archive = await exports.find_legal(session, found.id, now=now)
    found.handed_over_by, found.handed_over_at = staff, now
    await _note(session, found, staff, "handed over", now)
    return archive


async def find(session: AsyncSession, disclosure: str, *, is_changed: bool = False) -> LegalDisclosure:
    """One of them. Raises `Missing`."""
    found = await session.get(LegalDisclosure, disclosure, with_for_update=is_changed)
    if found is None:
        raise Missing("there is no such disclosure")
    return found


async def listed(session: AsyncSession) -> Sequence[LegalDisclosure]:
    """All of them, newest first."""
    return (await session.scalars(select(LegalDisclosure).order_by(LegalDisclosure.recorded_at.desc()))).all()


def require_approved(found: LegalDisclosure) -> None:
    """Raises `Forbidden` while two different persons have not approved."""
    if found.first_by is None or found.second_by is None or found.first_by == found.second_by:
        raise Forbidden("two of the staff have to approve it first")


async def _note(session: AsyncSession, of: LegalDisclosure, staff: str, what: str, now: datetime) -> None:
    await audit.record(
        session, actor=staff, action=f"legal disclosure {what}", account=of.account_id, subject=of.id, now=now
    )
