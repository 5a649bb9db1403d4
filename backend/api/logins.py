"""Logging in and out, and what people do with their own log-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from backend.accounts import recovery, sessions
from backend.accounts.devices import Device
from backend.accounts.logins import CodeNeeded, TooManyFailures, WrongLogin
from backend.api.problems import Problem
from backend.api.rates import Rate, sender
from backend.api.registering import Body, Email, Password, body, done, limit
from backend.api.route import Call, Query
from backend.config import Accounts
from backend.privacy import visits
from backend.registry.account_tables import Member, Staff
from backend.registry.login_tables import Login

Code = Annotated[str, StringConstraints(min_length=6, max_length=24)]

_MINUTE: Final = timedelta(minutes=1)


class LoginRequest(Body):
    """`code`: of the authenticator app, for who uses one; or a recovery code."""

    email: Email
    password: Password
    code: Code | None = None


class LoginReply(BaseModel):
    """The token goes into `Authorization: Bearer …`; it is shown this once."""

    token: str
    session: str
    expires_at: datetime
    has_second_factor: bool


class MeReply(BaseModel):
    """Who is logged in."""

    member: str | None
    staff: str | None
    account: str | None
    role: str
    email: str
    phone: str | None
    has_second_factor: bool
    recovery_codes: int  # that are good


class Session(BaseModel):
    """One log-in that lasts."""

    session: str
    created_at: datetime
    seen_at: datetime  # to five minutes
    expires_at: datetime
    has_second_factor: bool
    is_this: bool


class SessionsReply(BaseModel):
    """Newest first."""

    sessions: list[Session]


class EndRequest(Body):
    """Which one."""

    session: Annotated[str, StringConstraints(max_length=64)]


class EndAllRequest(Body):
    """Whether the session that asks ends with the others."""

    this_too: bool


class PasswordRequest(Body):
    """The old one and the new one."""

    password: Password
    new_password: Password


class SecondFactorReply(BaseModel):
    """For an authenticator app; shown this once."""

    secret: str
    uri: str


class CodeRequest(Body):
    """What the app shows now."""

    code: Code


class RecoveryReply(BaseModel):
    """Each opens a log-in once, in place of the app's code; shown this once."""

    recovery_codes: list[str]


class ConfirmedRequest(Body):
    """Both factors: to switch the second one off, or for new recovery codes."""

    password: Password
    code: Code


class LoggingIn:
    """The handler of log-ins, with the tries of each address."""

    def __init__(self, settings: Accounts) -> None:
        self._rate = Rate(settings.logins_per_min, _MINUTE, counted_as="log-in")

    async def post(self, call: Call[Query]) -> LoginReply:
        """Log in."""
        await limit(self._rate, call)
        sent = await body(call, LoginRequest)
        try:
            with _waits_told():
                opened = await call.services.logins.log_in(
                    sent.email, sent.password, sent.code, device=_device(call), now=call.now
                )
        except CodeNeeded as error:
            raise Problem(401, str(error), kind="second-factor") from error
        except WrongLogin as error:
            raise Problem(401, str(error), kind="login") from error
        call.services.wake()  # somebody may have to be told
        return LoginReply(
            token=opened.token,
            session=opened.session.id,
            expires_at=opened.session.expires_at,
            has_second_factor=opened.session.has_second_factor,
        )


async def log_out(call: Call[Query]) -> web.Response:
    """End this session."""
    async with call.services.database.begin() as session:
        await sessions.end(session, call.login, call.bearer_known.token)
    return done()


async def me(call: Call[Query]) -> MeReply:
    """Who is logged in, and how they are reached."""
    bearer = call.bearer_known
    async with call.services.database.read() as session:
        login = await session.get_one(Login, call.login)
        who: Member | Staff = (
            await session.get_one(Member, bearer.member)
            if bearer.member is not None
            else await session.get_one(Staff, bearer.staff)
        )
        codes = await recovery.left(session, login.id)
    return MeReply(
        member=bearer.member,
        staff=bearer.staff,
        account=bearer.account,
        role=who.role,
        email=who.email,
        phone=who.phone if isinstance(who, Member) else None,
        has_second_factor=login.totp_confirmed_at is not None,
        recovery_codes=codes,
    )


async def listed(call: Call[Query]) -> SessionsReply:
    """All open sessions of who asks."""
    async with call.services.database.read() as session:
        found = await call.services.sessions.listed(session, call.login, now=call.now)
    return SessionsReply(
        sessions=[
            Session(
                session=one.id,
                created_at=one.created_at,
                seen_at=one.seen_at,
                expires_at=one.expires_at,
                has_second_factor=one.has_second_factor,
                is_this=one.id == call.bearer_known.token,
            )
            for one in found
        ]
    )


async def end(call: Call[Query]) -> web.Response:
    """End one of one's own sessions."""
    sent = await body(call, EndRequest)
    async with call.services.database.begin() as session:
        await sessions.end(session, call.login, sent.session)
    return done()


async def end_all(call: Call[Query]) -> web.Response:
    """Log out everywhere."""
    sent = await body(call, EndAllRequest)
    async with call.services.database.begin() as session:
        await sessions.end_all(session, call.login, but=None if sent.this_too else call.bearer_known.token)
    return done()


async def change_password(call: Call[Query]) -> web.Response:
    """A new password; the other sessions end."""
    sent = await body(call, PasswordRequest)
    with _waits_told():
        await call.services.logins.change_password(
            call.login, sent.password, sent.new_password, but=call.bearer_known.token, now=call.now
        )
    return done()


async def begin_second_factor(call: Call[Query]) -> SecondFactorReply:
    """A secret for an authenticator app."""
    issuer = call.services.settings.contact.name
    secret, uri = await call.services.logins.begin_second_factor(call.login, issuer=issuer)
    return SecondFactorReply(secret=secret, uri=uri)


async def confirm_second_factor(call: Call[Query]) -> RecoveryReply:
    """Show that the app knows it; from now on its codes are asked for."""
    sent = await body(call, CodeRequest)
    codes = await call.services.logins.confirm_second_factor(
        call.login, call.bearer_known.token, sent.code, now=call.now
    )
    return RecoveryReply(recovery_codes=[*codes])


async def renew_recovery_codes(call: Call[Query]) -> RecoveryReply:
    """New ones; the former open nothing any more."""
    sent = await body(call, ConfirmedRequest)
    with _waits_told():
        codes = await call.services.logins.renew_recovery_codes(call.login, sent.password, sent.code, now=call.now)
    return RecoveryReply(recovery_codes=[*codes])


async def drop_second_factor(call: Call[Query]) -> web.Response:
    """Ask for no codes any more."""
    sent = await body(call, ConfirmedRequest)
    with _waits_told():
        await call.services.logins.drop_second_factor(call.login, sent.password, sent.code, now=call.now)
    return done()


def _device(call: Call[Query]) -> Device:
    """As little of it as tells it from others."""
    network = visits.shortened(sender(call.request, call.services.settings.listen.proxies))
    family, _, version = visits.browser(call.request.headers.get("User-Agent", "")).rpartition(" ")
    return Device(network, family or version)


@contextmanager
def _waits_told() -> Iterator[None]:
    """Answers 429 with the time to wait, for too many failures."""
    try:
        yield
    except TooManyFailures as error:
        raise Problem(429, str(error), retry_after_s=error.wait_s) from error
