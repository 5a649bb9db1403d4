"""Recovery codes: what opens a log-in with a second factor when the phone is lost. Ten, each good once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import typed
from backend.registry.login_tables import RecoveryCode

COUNT: Final = 10
_GROUPS: Final = 4
"""80 random bits, which need no slow hash."""


async def renew(session: AsyncSession, login: str) -> Sequence[str]:
    """New ones, this once; the former open nothing any more."""
    await drop(session, login)
    codes = [typed.new(_GROUPS) for _ in range(COUNT)]
    session.add_all(RecoveryCode(code_hash=typed.hashed(code), login_id=login) for code in codes)
    await session.flush()
    return codes


async def use(session: AsyncSession, login: str, presented: str, *, now: datetime) -> bool:
    """Whether it is one of the login's, which is used up then."""
    used = await session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.code_hash == typed.hashed(presented),
            RecoveryCode.login_id == login,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.code_hash)
    )
    return used.one_or_none() is not None


async def left(session: AsyncSession, login: str) -> int:
    """How many are good."""
    query = select(func.count()).where(RecoveryCode.login_id == login, RecoveryCode.used_at.is_(None))
    return await session.scalar(query) or 0


async def drop(session: AsyncSession, login: str) -> None:
    """None is good any more."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.login_id == login))
