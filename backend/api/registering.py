"""Becoming a member: registration, invitations, the links and codes that verify contacts, forgotten passwords.

Nobody is logged in here. Answers are the same whether an address is known or not.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.accounts import registration, resets, tries
from backend.accounts.passwords import LONGEST
from backend.accounts.registration import Person
from backend.api import bodies
from backend.api.problems import Problem
from backend.api.rates import Rate, address
from backend.api.route import Call, Query
from backend.config import Accounts

Email = Annotated[str, StringConstraints(min_length=3, max_length=254)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=128)]

_HOUR: Final = timedelta(hours=1)

UNHURRIED_S: Final = 0.25
"""What no answer takes that depends on whether an address has a log-in: more is done for some than for others."""


class Body(BaseModel):
    """Base of what is sent; a field too many is refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RegisterRequest(Body):
    """All of it is needed; of the birth date, only "14 or over" or "under 18" is kept."""

    email: Email
    phone: Annotated[str, StringConstraints(min_length=1, max_length=40)]  # +, country, number
    password: Password
    birth_date: date
    guardian_email: Email | None = None  # of who is under 18
    language: Annotated[str, StringConstraints(max_length=8)] = "en"


class JoinRequest(RegisterRequest):
    """With the token of an invitation, which was sent to this address."""

    token: Token


class RegisterReply(BaseModel):
    """The secret that the next steps need; shown this once."""

    registration: str
    waiting_for: list[str]


class VerifyRequest(Body):
    """What came by mail or text."""

    registration: Token
    token: Token


class VerifyReply(BaseModel):
    """`active`: there is nothing left to wait for, log in."""

    active: bool
    waiting_for: list[str]


class TokenRequest(Body):
    """What a link carries."""

    token: Token


class ForgotRequest(Body):
    """Whose password."""

    email: Email


class ResetRequest(Body):
    """The new one."""

    token: Token
    password: Password


class Registering:
    """The handlers, with the tries of each address."""

    def __init__(self, settings: Accounts) -> None:
        self._rate = Rate(settings.registrations_per_h, _HOUR, counted_as="registration")
        self._tries = Rate(settings.registrations_per_h * 5, _HOUR, counted_as="code")  # people mistype them

    async def register(self, call: Call[Query]) -> RegisterReply:
        """Begin a registration."""
        await limit(self._rate, call)
        sent = await body(call, RegisterRequest)
        settings = call.services.settings
        async with _unhurried():
            who = await _person(call, sent)
            secret = await registration.register(call.services.database, who, region=settings.region, now=call.now)
        call.services.wake()
        return RegisterReply(registration=secret, waiting_for=["email", *_waits(who)])

    async def join(self, call: Call[Query]) -> RegisterReply:
        """Follow an invitation."""
        await limit(self._rate, call)
        sent = await body(call, JoinRequest)
        who = await _person(call, sent)
        secret = await registration.join(call.services.database, sent.token, who, now=call.now)
        call.services.wake()
        return RegisterReply(registration=secret, waiting_for=_waits(who))

    async def verify_email(self, call: Call[Query]) -> VerifyReply:
        """The token that came by mail."""
        await limit(self._tries, call)
        sent = await body(call, VerifyRequest)
        waits = await registration.verify(call.services.database, sent.registration, "email", sent.token, now=call.now)
        return VerifyReply(active=not waits, waiting_for=list(waits))

    async def verify_phone(self, call: Call[Query]) -> VerifyReply:
        """The code that came by text."""
        await limit(self._tries, call)
        sent = await body(call, VerifyRequest)
        waits = await registration.verify(call.services.database, sent.registration, "phone", sent.token, now=call.now)
        return VerifyReply(active=not waits, waiting_for=list(waits))

    async def guardian(self, call: Call[Query]) -> web.Response:
        """A guardian agrees."""
        await limit(self._tries, call)
        sent = await body(call, TokenRequest)
        await registration.confirm_as_guardian(call.services.database, sent.token, now=call.now)
        return done()

    async def forgot(self, call: Call[Query]) -> web.Response:
        """Send a link, if there is such a login; the answer does not say."""
        await limit(self._rate, call)
        sent = await body(call, ForgotRequest)
        async with _unhurried():
            await resets.ask(call.services.database, sent.email, now=call.now)
        call.services.wake()
        return done(202)

    async def reset(self, call: Call[Query]) -> web.Response:
        """Set a new password by the link's token."""
        await limit(self._tries, call)
        sent = await body(call, ResetRequest)
        services = call.services
        await resets.follow(services.database, services.passwords, sent.token, sent.password, now=call.now)
        return done()


async def limit(rate: Rate, call: Call[Any]) -> None:
    """One more try from this address. Raises `Problem` 429."""
    who = address(call.request, call.services.settings.listen.proxies)
    wait_s = rate.wait_s(who, call.now)
    if wait_s == 0 and rate.counted_as is not None:
        async with call.services.database.begin() as session:
            wait_s = await tries.wait_s(session, rate.counted_as, who, most=rate.most, window=rate.window, now=call.now)
    if wait_s > 0:
        raise Problem(429, "too many tries from this address: wait a little", retry_after_s=math.ceil(wait_s))


async def body(call: Call[Any], of: type[bodies.M]) -> bodies.M:
    """What was sent. Raises `Problem`."""
    return await bodies.model(call.request, of, call.services.settings.limits.body_s)


def done(status: int = 204) -> web.Response:
    """There is nothing to say."""
    return web.Response(status=status)


@asynccontextmanager
async def _unhurried() -> AsyncIterator[None]:
    """Takes `UNHURRIED_S` at the least, however little there is to do, and however it ends."""
    clock = asyncio.get_running_loop().time
    over_at = clock() + UNHURRIED_S
    try:
        yield
    finally:
        await asyncio.sleep(over_at - clock())


async def _person(call: Call[Query], sent: RegisterRequest) -> Person:
    return await registration.person(
        call.services.passwords,
        email=sent.email,
        phone=sent.phone,
        password=sent.password,
        birth_date=sent.birth_date,
        guardian_email=sent.guardian_email,
        language=sent.language,
        now=call.now,
    )


def _waits(who: Person) -> list[str]:
    return ["phone", "guardian"] if who.guardian is not None else ["phone"]
