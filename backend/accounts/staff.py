"""The service's own people: few may see personal data, each only under a grant that says why and ends by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import challenges
from backend.accounts.logins import by_email
from backend.accounts.rights import PERSONAL_DATA, STAFF_ROLES
from backend.registry.account_tables import Account, Grant, Staff
from backend.registry.errors import Forbidden, Invalid, Missing, Taken
from backend.registry.login_tables import Login
from backend.registry.members import email_address
from backend.registry.sealed import keys_in

_SHORTEST_REASON = 10


async def add(session: AsyncSession, *, email: str, role: str, most: int, now: datetime) -> tuple[Staff, str]:
    """One more, and the token by which they set a password. `most` may see personal data.

    Raises `Invalid`, `Taken` or `Forbidden`.
    """
    address = email_address(email)
    if role not in STAFF_ROLES:
        raise Invalid(f"a role of the staff is one of {', '.join(STAFF_ROLES)}")
    if await by_email(session, address) is not None or await _by_email(session, address) is not None:
        raise Taken("this address has a log-in already")
    if role in PERSONAL_DATA:
        await _leaves_room(session, most)
    staff = Staff(
        id=ids.new("stf"), role=role, email=address, email_index=keys_in(session).index(address), created_at=now
    )
    session.add(staff)
    await session.flush()
    return staff, await invite(session, staff, now=now)


async def invite(session: AsyncSession, staff: Staff, *, now: datetime) -> str:
    """A token that sets the password of one of the staff, once, within an hour."""
    asked = await challenges.issue(session, "password", contact=staff.email, staff=staff.id, now=now)
    return challenges.secret(keys_in(session), asked)


async def end(session: AsyncSession, email: str, *, now: datetime) -> Staff:
    """They work here no more: login, sessions and grants end; that they did stays. Raises `Missing`."""
    staff = await _by_email(session, email_address(email))
    if staff is None:
        raise Missing("nobody of the staff has this address")
    staff.ended_at = now
    staff.email_index = staff.id  # the address may come back
    await session.execute(delete(Login).where(Login.staff_id == staff.id))
    for grant in await grants(session, now=now, staff=staff.id):
        grant.ends_at = min(grant.ends_at, now)
    return staff


async def listed(session: AsyncSession) -> Sequence[Staff]:
    """All of them, former ones too."""
    return (await session.scalars(select(Staff).order_by(Staff.created_at, Staff.id))).all()


async def open_grant(
    session: AsyncSession, staff: str, account: str, *, reason: str, hours: float, most_hours: float, now: datetime
) -> Grant:
    """A look at one account, for a while. Raises `Missing` or `Invalid`."""
    if len(reason.strip()) < _SHORTEST_REASON:
        raise Invalid("say why, so that others understand it")
    if not 0 < hours <= most_hours:
        raise Invalid(f"a grant lasts {most_hours:g} h at most")
    if await session.get(Account, account) is None:
        raise Missing(f"there is no account {account}")
    grant = Grant(
        id=ids.new("grt"),
        staff_id=staff,
        account_id=account,
        reason=reason.strip(),
        starts_at=now,
        ends_at=now + timedelta(hours=hours),
    )
    session.add(grant)
    await session.flush()
    return grant


async def end_grant(session: AsyncSession, staff: str, grant_id: str, *, now: datetime) -> None:
    """Before its time. Raises `Missing` for somebody else's."""
    grant = await session.scalar(select(Grant).where(Grant.staff_id == staff, Grant.id == grant_id))
    if grant is None:
        raise Missing("you have no such grant")
    grant.ends_at = min(grant.ends_at, now)


async def require_grant(session: AsyncSession, staff: str, account: str, *, now: datetime) -> Grant:
    """The grant under which one of the staff may see this account now. Raises `Forbidden`, for no such account too."""
    for grant in await grants(session, now=now, staff=staff):
        if grant.account_id == account:
            return grant
    raise Forbidden("open a grant for this account first, with a reason")


async def grants(session: AsyncSession, *, now: datetime | None = None, staff: str | None = None) -> Sequence[Grant]:
    """Grants, newest first; those that hold at `now`, or all."""
    query = select(Grant).order_by(Grant.starts_at.desc(), Grant.id)
    if now is not None:
        query = query.where(Grant.starts_at <= now, Grant.ends_at > now)
    if staff is not None:
        query = query.where(Grant.staff_id == staff)
    return (await session.scalars(query)).all()


async def _by_email(session: AsyncSession, email: str) -> Staff | None:
    found: Staff | None = await session.scalar(
        select(Staff).where(Staff.email_index.in_(keys_in(session).indexes(email)), Staff.ended_at.is_(None))
    )
    return found


async def _leaves_room(session: AsyncSession, most: int) -> None:
    count = await session.scalar(
        select(func.count()).select_from(Staff).where(Staff.role.in_(PERSONAL_DATA), Staff.ended_at.is_(None))
    )
    if (count or 0) >= most:
        raise Forbidden(f"{most} people may see personal data (staff.with_personal_data): end one of them first")
