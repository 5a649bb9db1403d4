"""`/v1/digest/stop`: no more summaries, by one click in the mail program (RFC 8058) or on the page. Warnings go on."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from backend.api import asking
from backend.api.route import Call, Query
from backend.notify.tongue import Tongue
from backend.privacy import links
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact
from backend.registry.sealed import keys_in


class StopQuery(Query):
    """What the link carries."""

    token: Annotated[str, StringConstraints(max_length=200)]


async def ask(call: Call[StopQuery]) -> web.Response:
    """A button: programs follow links, too."""
    async with call.services.database.read() as session:
        found = await _contact(session, call.query.token)
        if found is None:
            return asking.over(call)
        tongue = await _tongue(session, found)
    return asking.page(
        call,
        tongue,
        title=tongue.say("No more of these summaries?"),
        text=tongue.say("Warnings go on."),
        button=tongue.say("No more of these summaries"),
    )


async def stop(call: Call[StopQuery]) -> web.Response:
    """At once, without logging in."""
    async with call.services.database.begin() as session:
        found = await _contact(session, call.query.token)
        if found is None:
            return asking.over(call)
        found.digests, found.digest_due_at = "none", None
        tongue = await _tongue(session, found)
    return asking.page(
        call, tongue, title=tongue.say("You get no more of these summaries"), text=tongue.say("Warnings go on.")
    )


async def _contact(session: AsyncSession, token: str) -> Contact | None:
    known = links.about(keys_in(session), "digest", token)
    return await session.get(Contact, known) if known is not None else None


async def _tongue(session: AsyncSession, contact: Contact) -> Tongue:
    member = await session.get_one(Member, contact.member_id)
    return Tongue.of(contact.language or member.language)
