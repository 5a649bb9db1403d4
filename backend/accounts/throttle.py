"""Failed log-ins in a row: after a few, each further one makes the next wait longer.

Kept for each address that was tried, whether anybody has it or not, so that a refusal tells nothing; by its blind
index, so that the list names nobody. A reset password lifts the wait: who owns the mailbox is not locked out by others.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.login_tables import Throttle

FREE: Final = 5
"""Failures without a wait."""

_FIRST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(hours=1)
_FORGOTTEN_AFTER: Final = timedelta(days=1)


async def wait_s(session: AsyncSession, key: str, *, now: datetime) -> float:
    """How long until the next try; 0.0 for now."""
    throttle = await session.get(Throttle, key)
    if throttle is None or throttle.blocked_until is None:
        return 0.0
    return max(0.0, (throttle.blocked_until - now).total_seconds())


async def count_failure(session: AsyncSession, key: str, *, now: datetime) -> None:
    """One more."""
    throttle = await session.get(Throttle, key, with_for_update=True)
    if throttle is None:
        throttle = Throttle(key=key, failures=0, changed_at=now)
        session.add(throttle)
    throttle.failures += 1
    throttle.changed_at = now
    if throttle.failures >= FREE:
        throttle.blocked_until = now + min(_FIRST * 2 ** min(throttle.failures - FREE, 10), _LONGEST)


async def forgive(session: AsyncSession, key: str) -> None:
    """It was their owner after all."""
    await session.execute(delete(Throttle).where(Throttle.key == key))


async def forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Remove what is long past."""
    await session.execute(delete(Throttle).where(Throttle.changed_at <= now - _FORGOTTEN_AFTER))
