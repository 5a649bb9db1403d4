"""A member asks for a person to look at what the rules decided; staff are told, and one of them answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.privacy import letters
from backend.registry.errors import Missing, Taken
from backend.registry.warning_tables import WarningReview
from backend.warnings import explanation


async def ask(
    session: AsyncSession, account: AccountId, warning: str, *, member: str, reason: str, now: datetime
) -> WarningReview:
    """Record it, and tell the administrators. Raises `Missing`, and `Taken` while an earlier one waits."""
    found = await explanation.find(session, account, warning)
    query = select(WarningReview.id).where(WarningReview.warning_id == found.id, WarningReview.answered_at.is_(None))
    if await session.scalar(query.limit(1)) is not None:
        raise Taken("somebody asked for that already, and nobody has answered yet")
    review = WarningReview(
        id=ids.new("rvw"), account_id=account, warning_id=found.id, member_id=member, reason=reason, asked_at=now
    )
    session.add(review)
    text = (
        f"A member of account {account} asks for a person to look at a warning that the rules raised.\n\n"
        f"Rule {found.rule}, severity {found.severity}, fired at {found.started_at.isoformat()}.\n"
        f"Review {review.id}. The member's reason is with it: GET /v1/staff/reviews.\n"
        f"Answer: POST /v1/staff/reviews/answer with review {review.id}.\n"
    )
    await letters.write_to_admins(session, about=review.id, subject=f"Review {review.id}", text=text, now=now)
    return review


async def of(session: AsyncSession, warning: str) -> Sequence[WarningReview]:
    """The reviews of a warning, oldest first."""
    query = select(WarningReview).where(WarningReview.warning_id == warning)
    return (await session.scalars(query.order_by(WarningReview.asked_at, WarningReview.id))).all()


async def open_ones(session: AsyncSession) -> Sequence[WarningReview]:
    """Those that nobody has answered, of all accounts, oldest first."""
    query = select(WarningReview).where(WarningReview.answered_at.is_(None))
    return (await session.scalars(query.order_by(WarningReview.asked_at, WarningReview.id))).all()


async def answer(session: AsyncSession, review: str, text: str, *, staff: str, now: datetime) -> None:
    """What a person says to it. Raises `Missing` or `Taken`."""
    found = await session.get(WarningReview, review, with_for_update=True)
    if found is None:
        raise Missing("there is no such review")
    if found.answered_at is not None:
        raise Taken("somebody answered it already")
    found.answer, found.answered_by, found.answered_at = text, staff, now
