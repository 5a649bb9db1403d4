"""Public announcements: what everybody may read without a log-in. They name nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.registry.rights_tables import Announcement


def publish(session: AsyncSession, *, about: str, title: str, text: str, now: datetime) -> Announcement:
    """From the end of this transaction on."""
    made = Announcement(id=ids.new("ann"), about=about, title=title, text=text, published_at=now)
    session.add(made)
    return made


async def listed(session: AsyncSession, *, about: str | None = None) -> Sequence[Announcement]:
    """All, or those about one thing; newest first."""
    query = select(Announcement).order_by(Announcement.published_at.desc(), Announcement.id)
    return (await session.scalars(query if about is None else query.where(Announcement.about == about))).all()
