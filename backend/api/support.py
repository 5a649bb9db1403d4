"""`POST /v1/support` and feedback: what people send of their own will, until its window ends."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import select

from agent import wire
from backend import ids
from backend.api import bodies
from backend.api.problems import Problem
from backend.api.registering import Body, body
from backend.api.route import JSON, Call, Query
from backend.privacy import audit, purposes, windows
from backend.registry.privacy_tables import Feedback, SupportBundle

_MOST_BYTES: Final = 4_100_000  # a million characters of four bytes, and what is around them


class BundleRequest(BaseModel):
    """What the operator was shown, to the letter."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: UUID
    site: str
    created_at: AwareDatetime
    text: Annotated[str, StringConstraints(max_length=1_000_000)]


class BundleReply(BaseModel):
    """It is here until then."""

    id: UUID
    kept_until: datetime


class FeedbackRequest(Body):
    """`contact`: only for who wants an answer."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    contact: Annotated[str, StringConstraints(min_length=3, max_length=254)] | None = None


class FeedbackReply(BaseModel):
    """It is here until then."""

    feedback: str
    kept_until: datetime


async def send_bundle(call: Call[Query]) -> web.Response:
    """Take a bundle of the token's site, once by its id."""
    encoding = bodies.encoding(call.request)
    bodies.require_json(call.request)
    data = await bodies.received(call.request, _MOST_BYTES, call.services.settings.limits.body_s)
    plain = await asyncio.to_thread(bodies.decompressed, data, encoding, _MOST_BYTES)
    try:
        sent = BundleRequest.model_validate_json(plain)
    except ValidationError as error:
        raise Problem(422, wire.describe(error), kind="body") from error
    if sent.site != call.site:
        raise Problem(422, "the bundle is not of the site that this token is for", kind="wrong-site")
    async with call.services.database.begin() as session:
        window = (await windows.of(session, call.account))["support"]
        query = select(SupportBundle).where(
            SupportBundle.account_id == call.account, SupportBundle.bundle_id == str(sent.id)
        )
        kept = await session.scalar(query)
        is_new = kept is None
        if kept is None:
            kept = SupportBundle(
                id=ids.new("sup"),
                account_id=call.account,
                site_id=call.site,
                bundle_id=str(sent.id),
                created_at=sent.created_at,
                received_at=call.now,
                text=sent.text,
            )
            session.add(kept)
            await audit.record(
                session,
                actor=call.bearer_known.token,
                action="support.received",
                account=call.account,
                subject=kept.id,
                now=call.now,
            )
    reply = BundleReply(id=sent.id, kept_until=kept.received_at + window)
    return web.Response(body=reply.model_dump_json(), status=201 if is_new else 200, content_type=JSON)


async def give_feedback(call: Call[Query]) -> FeedbackReply:
    """Keep what somebody thinks, and their contact if they gave one."""
    sent = await body(call, FeedbackRequest)
    made = Feedback(
        id=ids.new("fbk"), account_id=call.account, contact=sent.contact, text=sent.text, received_at=call.now
    )
    async with call.services.database.begin() as session:
        if not await purposes.may_use(session, call.member, "improvement"):
            raise Problem(409, "you objected to feedback being used: take that back first", kind="objected")
        session.add(made)
        window = (await windows.of(session, call.account))["feedback"]
    return FeedbackReply(feedback=made.id, kept_until=call.now + window)
