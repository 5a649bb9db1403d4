"""Tries of one kind from one address, counted in the registry: whichever backend of several is asked.

A window begins with the first try and ends after its length; then the count begins anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, delete
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.login_tables import Tries
from backend.registry.sealed import keys_in
from backend.registry.upserting import insert_into

_ONE: Final = 1


async def wait_s(
    session: AsyncSession, kind: str, address: str, *, most: int, window: timedelta, now: datetime
) -> float:
    """Counts one more; 0.0 while there were at most `most` in the window, else how long until it ends."""
    [key, *_] = keys_in(session).macs(b"tries", f"{kind}\n{address}")
    is_over = Tries.ends_at <= now
    statement = insert_into(session, Tries).values(key=key, ends_at=now + window, count=_ONE)
    counted = await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Tries.key],
            set_={
                "ends_at": case((is_over, now + window), else_=Tries.ends_at),
                "count": case((is_over, _ONE), else_=Tries.count + 1),
            },
        ).returning(Tries.count, Tries.ends_at)
    )
    count, ends_at = counted.one()
    return (ends_at - now).total_seconds() if count > most else 0.0


async def forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Remove windows that are over."""
    await session.execute(delete(Tries).where(Tries.ends_at <= now))
