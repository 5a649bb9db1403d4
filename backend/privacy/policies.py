"""Versions of the privacy policy: each is kept with its date, the current is public, members are told what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.privacy import letters
from backend.registry.account_tables import Member
from backend.registry.errors import Invalid
from backend.registry.privacy_tables import PolicyVersion


async def publish(session: AsyncSession, text: str, changes: str, *, now: datetime) -> PolicyVersion:
    """A new version; all members get a letter that says what changed. Raises `Invalid`."""
    if not (text.strip() and changes.strip()):
        raise Invalid("a policy has a text, and says what changed")
    before = await listed(session)
    made = PolicyVersion(
        version=before[0].version + 1 if before else 1, published_at=now, changes=changes.strip(), text=text
    )
    session.add(made)
    for member in await session.scalars(select(Member)):
        letters.write(
            session,
            about=f"policy:{made.version}",
            purpose="notices",
            to=member,
            subject=f"The privacy policy changed (version {made.version})",
            text=f"What changed:\n\n{made.changes}\n\nThe whole policy: GET /v1/policy",
            now=now,
        )
    return made


async def listed(session: AsyncSession) -> Sequence[PolicyVersion]:
    """All versions, newest first."""
    return (await session.scalars(select(PolicyVersion).order_by(PolicyVersion.version.desc()))).all()
