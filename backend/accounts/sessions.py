"""Sessions: a log-in that lasts, as a bearer token, until nobody uses it, it is told to end, or it is old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import secret
from backend.accounts.secret import Secret
from backend.config import Accounts
from backend.ids import AccountId, MemberId
from backend.registry.account_tables import Account, Member, Staff
from backend.registry.database import Database
from backend.registry.errors import Missing
from backend.registry.login_tables import Login, LoginSession
from backend.registry.tokens import Bearer

PREFIX: Final = "ims_"

_SEEN_EVERY: Final = timedelta(minutes=5)
"""How exactly it is known when a session was last used: a write for each request would be too many."""


class Sessions:
    """Opens them and knows whose they are."""

    def __init__(self, database: Database, settings: Accounts) -> None:
        self._database = database
        self._lasts = timedelta(hours=settings.session_h)
        self._idle = timedelta(hours=settings.idle_h)

    async def open(
        self, session: AsyncSession, login: Login, *, has_second_factor: bool, now: datetime
    ) -> tuple[LoginSession, Secret]:
        """A new one and, this once, its token."""
        token = secret.new(PREFIX)
        opened = LoginSession(
            id=ids.new("ses"),
            login_id=login.id,
            token_hash=secret.hashed(token),
            has_second_factor=has_second_factor,
            created_at=now,
            seen_at=now,
            expires_at=now + self._lasts,
        )
        session.add(opened)
        await session.flush()
        return opened, token

    async def bearer(self, presented: str, *, now: datetime) -> Bearer | None:
        """Whose valid session this is; None for an unknown, ended or expired one. Counts as a use of it."""
        async with self._database.read() as session:
            row = (
                await session.execute(
                    select(LoginSession, Login)
                    .join(Login, Login.id == LoginSession.login_id)
                    .where(
                        LoginSession.token_hash == secret.hashed(presented),
                        LoginSession.expires_at > now,
                        LoginSession.seen_at > now - self._idle,
                    )
                )
            ).one_or_none()
            bearer = None if row is None else await _bearer(session, row[0], row[1])
        if row is not None and row[0].seen_at <= now - _SEEN_EVERY:
            async with self._database.begin() as session:
                await session.execute(update(LoginSession).where(LoginSession.id == row[0].id).values(seen_at=now))
        return bearer

    async def listed(self, session: AsyncSession, login: str, *, now: datetime) -> Sequence[LoginSession]:
        """A login's sessions that are open, newest first."""
        query = select(LoginSession).where(
            LoginSession.login_id == login, LoginSession.expires_at > now, LoginSession.seen_at > now - self._idle
        )
        return (await session.scalars(query.order_by(LoginSession.created_at.desc(), LoginSession.id))).all()

    async def forget_expired(self, session: AsyncSession, *, now: datetime) -> None:
        """Remove those that open nothing any more."""
        is_over = (LoginSession.expires_at <= now) | (LoginSession.seen_at <= now - self._idle)
        await session.execute(delete(LoginSession).where(is_over))


async def end(session: AsyncSession, login: str, session_id: str) -> None:
    """From the end of this transaction on it opens nothing. Raises `Missing` for somebody else's."""
    ended = await session.execute(
        delete(LoginSession)
        .where(LoginSession.login_id == login, LoginSession.id == session_id)
        .returning(LoginSession.id)
    )
    if ended.one_or_none() is None:
        raise Missing("you have no such session")


async def end_all(session: AsyncSession, login: str, *, but: str | None = None) -> None:
    """End a login's sessions, all but one."""
    await session.execute(delete(LoginSession).where(LoginSession.login_id == login, LoginSession.id != (but or "")))


async def _bearer(session: AsyncSession, opened: LoginSession, login: Login) -> Bearer | None:
    if login.member_id is not None:
        member = await session.get_one(Member, login.member_id)
        account = await session.get_one(Account, member.account_id)
        if account.activated_at is None:
            return None
        return Bearer(
            token=opened.id,
            account=AccountId(account.id),
            kind="member",
            role=member.role,
            member=MemberId(member.id),
            login=login.id,
            lacks_second_factor=account.requires_second_factor and not opened.has_second_factor,
        )
    staff = await session.get_one(Staff, login.staff_id)
    if staff.ended_at is not None:
        return None
    return Bearer(
        token=opened.id,
        account=None,
        kind="staff",
        role=staff.role,
        staff=staff.id,
        login=login.id,
        lacks_second_factor=not opened.has_second_factor,
    )
