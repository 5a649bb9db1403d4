"""A member asks for a person to look at a warning; one of the staff answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from backend.accounts import staff as people
from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.api.warnings import WarningQuery
from backend.registry.errors import Missing
from backend.registry.warning_tables import Warning, WarningReview
from backend.warnings import reviews

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]


class ReviewRequest(Body):
    """What you think is wrong with it."""

    reason: _Text


class ReviewQuery(Query):
    """Which one."""

    review: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class AnswerRequest(Body):
    """What you found, for the member to read."""

    review: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    answer: _Text


class ReviewShown(BaseModel):
    """That a person was asked to look at it."""

    review: str
    asked_at: datetime
    answered_at: datetime | None
    answer: str | None


class StaffReview(BaseModel):
    """A review that waits; without what the member wrote."""

    review: str
    account: str
    warning: str
    asked_at: datetime


class StaffReviewsReply(BaseModel):
    """Oldest first."""

    reviews: list[StaffReview]


class StaffReviewReply(StaffReview):
    """The whole of one, under a grant."""

    reason: str
    rule: str
    severity: str
    value: float | None
    threshold: float | None
    started_at: datetime


async def ask_for_review(call: Call[WarningQuery]) -> ReviewShown:
    """A person is to look at it."""
    sent = await body(call, ReviewRequest)
    async with call.services.database.begin() as session:
        made = await reviews.ask(
            session, call.account, call.query.warning, member=call.member, reason=sent.reason, now=call.now
        )
        return review_shown(made)


async def waiting(call: Call[Query]) -> StaffReviewsReply:
    """Those that nobody has answered."""
    async with call.services.database.read() as session:
        found = await reviews.open_ones(session)
    return StaffReviewsReply(
        reviews=[
            StaffReview(review=each.id, account=each.account_id, warning=each.warning_id, asked_at=each.asked_at)
            for each in found
        ]
    )


async def one_waiting(call: Call[ReviewQuery]) -> StaffReviewReply:
    """What the member wrote, and the warning; under a grant."""
    async with call.services.database.read() as session:
        found = await session.get(WarningReview, call.query.review)
        if found is None:
            raise Missing("there is no such review")
        await people.require_grant(session, call.staff, found.account_id, now=call.now)
        warning = await session.get_one(Warning, found.warning_id)
    return StaffReviewReply(
        review=found.id,
        account=found.account_id,
        warning=found.warning_id,
        asked_at=found.asked_at,
        reason=found.reason,
        rule=warning.rule,
        severity=warning.severity,
        value=warning.value,
        threshold=warning.threshold,
        started_at=warning.started_at,
    )


async def answer(call: Call[Query]) -> web.Response:
    """Answer it, under a grant."""
    sent = await body(call, AnswerRequest)
    async with call.services.database.begin() as session:
        found = await session.get(WarningReview, sent.review)
        if found is None:
            raise Missing("there is no such review")
        await people.require_grant(session, call.staff, found.account_id, now=call.now)
        await reviews.answer(session, sent.review, sent.answer, staff=call.staff, now=call.now)
    return done()


def review_shown(row: WarningReview) -> ReviewShown:
    """For whoever asked."""
    return ReviewShown(review=row.id, asked_at=row.asked_at, answered_at=row.answered_at, answer=row.answer)
