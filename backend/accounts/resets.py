"""A forgotten password: a link by mail sets a new one. It ends all sessions and lifts the wait after failures."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import challenges, mailing, sessions, throttle
from backend.accounts.logins import by_email, tell
from backend.accounts.passwords import Passwords, acceptable
from backend.registry.account_tables import Member, Staff
from backend.registry.database import Database
from backend.registry.errors import Forbidden
from backend.registry.login_tables import Challenge, Login
from backend.registry.members import email_address
from backend.registry.sealed import keys_in


async def ask(database: Database, email: str, *, now: datetime) -> None:
    """Send a link, if the address has a login. Staff are set up by an administrator instead. Raises `Invalid`."""
    address = email_address(email)
    async with database.begin() as session:
        login = await by_email(session, address)
        may_write = await mailing.may_write_to(session, address, now=now)
        if login is None or login.member_id is None or not may_write:
            return
        member = await session.get_one(Member, login.member_id)
        asked = await challenges.issue(
            session, "password", contact=address, account=member.account_id, member=member.id, now=now
        )
        await mailing.send(session, asked, account=member.account_id, member=member.id, now=now)


async def follow(database: Database, passwords: Passwords, token: str, password: str, *, now: datetime) -> None:
    """Set a new password. Raises `Forbidden`, or `Invalid` and the link stays good."""
    kept = await passwords.hash(password)
    async with database.begin() as session:
        used = await challenges.redeem(session, "password", token, now=now)
        if used is None:
            raise Forbidden("this link is unknown, used or over an hour old: ask for another one")
        login, email = await _login(session, used, kept, now)
        acceptable(password, email)
        used.contact = None
        login.password_hash, login.changed_at = kept, now
        await sessions.end_all(session, login.id)
        await tell(session, login, "password_changed", now=now)
        for key in keys_in(session).indexes(email):
            await throttle.forgive(session, key)


async def _login(session: AsyncSession, used: Challenge, kept: str, now: datetime) -> tuple[Login, str]:
    """Whose it is, and their address. One of the staff gets their login by the first link."""
    if used.staff_id is None:
        login = (await session.scalars(select(Login).where(Login.member_id == used.member_id))).one()
        return login, (await session.get_one(Member, used.member_id)).email
    staff = await session.get_one(Staff, used.staff_id)
    found = await session.scalar(select(Login).where(Login.staff_id == staff.id))
    if found is None:
        found = Login(
            id=ids.new("log"),
            staff_id=staff.id,
            email_index=staff.email_index,
            password_hash=kept,
            created_at=now,
            changed_at=now,
            totp_step=0,
        )
        session.add(found)
        await session.flush()
    return found, staff.email
