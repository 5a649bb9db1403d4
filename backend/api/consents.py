"""What members agree to, and take back as easily; promotion that one click ends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.api import asking
from backend.api.problems import Problem
from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.privacy import links, purposes
from backend.registry.account_tables import Member
from backend.registry.sealed import keys_in


class Said(BaseModel):
    """One answer of the member's."""

    answer: str
    version: int
    at: datetime


class Purpose(BaseModel):
    """What data is used for, and whether the member's may be."""

    purpose: str
    means: str
    basis: str
    version: int
    is_used: bool
    said: list[Said]


class PurposesReply(BaseModel):
    """The whole register."""

    purposes: list[Purpose]


class ConsentRequest(Body):
    """Yes, no more, or no."""

    purpose: Annotated[str, StringConstraints(max_length=32)]
    answer: Literal["given", "withdrawn", "objected"]


class TokenQuery(Query):
    """What the link in a mail carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    token: Annotated[str, StringConstraints(max_length=200)]


async def listed(call: Call[Query]) -> PurposesReply:
    """What the member's data is used for, and what they said to it."""
    async with call.services.database.read() as session:
        history = await purposes.history(session, call.member)
        return PurposesReply(
            purposes=[
                Purpose(
                    purpose=name,
                    means=purpose.means,
                    basis=purpose.basis,
                    version=purpose.version,
                    is_used=await purposes.may_use(session, call.member, name),
                    said=[Said(answer=c.answer, version=c.version, at=c.at) for c in history if c.purpose == name],
                )
                for name, purpose in purposes.REGISTER.items()
            ]
        )


async def say(call: Call[Query]) -> web.Response:
    """Agree, take it back, object."""
    sent = await body(call, ConsentRequest)
    async with call.services.database.begin() as session:
        member = await session.get_one(Member, call.member)
        await purposes.say(session, member, sent.purpose, sent.answer, now=call.now)
    return done()


async def ask(call: Call[TokenQuery]) -> web.Response:
    """For people who follow the link: a button, since programs follow links too."""
    tongue = asking.tongue(call)
    return asking.page(
        call,
        tongue,
        title=tongue.say("No more news of products, events and studies?"),
        text=tongue.say("Warnings and notices of the service go on."),
        button=tongue.say("No more of these"),
    )


async def unsubscribe(call: Call[TokenQuery]) -> web.Response:
    """No more promotion, at once, without logging in (RFC 8058)."""
    async with call.services.database.begin() as session:
        known = links.about(keys_in(session), "unsubscribe", call.query.token)
        if known is None:
            raise Problem(404, "this link was not made here")
        member = await session.get(Member, known)
        if member is not None:
            await purposes.say(session, member, purposes.MARKETING, "withdrawn", now=call.now)
    tongue = asking.tongue(call)
    go_on = tongue.say("Warnings and notices of the service go on.")
    return asking.page(call, tongue, title=tongue.say("You get no more of these."), text=go_on)
