"""Logging in: password, second factor, waits between failures. An answer never says whether there is such a person.

A try is counted before it is checked, so that tries at the same moment are no way around the wait.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import devices, mailing, recovery, sessions, throttle, totp
from backend.accounts.devices import Device
from backend.accounts.passwords import Passwords, acceptable
from backend.accounts.secret import Secret
from backend.accounts.sessions import Sessions
from backend.registry.account_tables import Member, Staff
from backend.registry.database import Database
from backend.registry.errors import Forbidden, Invalid, RegistryError, Taken
from backend.registry.login_tables import Login, LoginSession, Throttle
from backend.registry.members import email_address
from backend.registry.sealed import keys_in


class WrongLogin(Forbidden):
    """Address, password or code are not right; which of them is not said."""


class CodeNeeded(Forbidden):
    """The password is right, and this login has a second factor."""


class TooManyFailures(RegistryError):
    """Wait `wait_s` before the next try, right or wrong."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many failed log-ins with this address: wait, or reset the password by mail")
        self.wait_s = math.ceil(wait_s)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session, and its token this once."""

    session: LoginSession
    token: Secret


class Logins:
    """What people do with their own log-in."""

    def __init__(self, database: Database, passwords: Passwords, opener: Sessions) -> None:
        self._database = database
        self._passwords = passwords
        self._sessions = opener

    async def log_in(self, email: str, password: str, code: str | None, *, device: Device, now: datetime) -> LoggedIn:
        """Open a session; a member is told by mail of one from elsewhere. `code`: the app's, or one for recovery.

        Raises `WrongLogin`, `CodeNeeded` or `TooManyFailures`.
        """
        address = _normal(email)
        async with self._database.begin() as session:
            key = keys_in(session).index(address)
            wait_s = await throttle.wait_s(session, key, now=now)
            if wait_s == 0:
                await throttle.count_failure(session, key, now=now)
            login = await by_email(session, address)
        if wait_s > 0:
            raise TooManyFailures(wait_s)
        if not await self._passwords.check(password, login.password_hash if login else None) or login is None:
            raise WrongLogin("the address, the password or the code is not right")
        async with self._database.begin() as session:
            login = await session.get_one(Login, login.id, with_for_update=True)
            if login.totp_confirmed_at is not None:
                if code is None:
                    await _uncount(session, key)
                    # Committed when the block ends: nothing else is written.
                elif not await _use_any(session, login, code, now):
                    raise WrongLogin("the address, the password or the code is not right")
            if login.totp_confirmed_at is None or code is not None:
                await throttle.forgive(session, key)
                if await devices.is_strange(session, login, device, now=now):
                    # Of when and with what, not of the network, which no message keeps.
                    about = f"{device.browser}, {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
                    await tell(session, login, "new_login", about=about, now=now)
                has_second = login.totp_confirmed_at is not None
                return LoggedIn(*await self._sessions.open(session, login, has_second_factor=has_second, now=now))
        raise CodeNeeded("send the code of your authenticator app too")

    async def change_password(self, login_id: str, old: str, new: str, *, but: str, now: datetime) -> None:
        """Everyone else with a session of this login is out. Raises `Forbidden` or `Invalid`."""
        login = await self._checked(login_id, old, now)
        async with self._database.read() as session:
            acceptable(new, await _email(session, login))
        kept = await self._passwords.hash(new)
        async with self._database.begin() as session:
            login = await session.get_one(Login, login_id)
            login.password_hash, login.changed_at = kept, now
            await sessions.end_all(session, login_id, but=but)
            await tell(session, login, "password_changed", now=now)

    async def begin_second_factor(self, login_id: str, *, issuer: str) -> tuple[str, str]:
        """A new secret and its URI for an app; nothing asks for it before it is confirmed. Raises `Taken`."""
        async with self._database.begin() as session:
            login = await session.get_one(Login, login_id)
            if login.totp_confirmed_at is not None:
                raise Taken("the second factor is on: switch it off first")
            login.totp_secret, login.totp_step = totp.new_secret(), 0
            return login.totp_secret, totp.uri(login.totp_secret, issuer=issuer, name=await _email(session, login))

    async def confirm_second_factor(self, login_id: str, session_id: str, code: str, *, now: datetime) -> Sequence[str]:
        """The app knows the secret: from now on its code is asked for. Other sessions end. Raises `Forbidden`.

        The recovery codes, this once.
        """
        async with self._database.begin() as session:
            login = await session.get_one(Login, login_id, with_for_update=True)
            if login.totp_confirmed_at is not None or not _use(login, code, now):
                raise Forbidden("this is not the code of the secret that was shown last")
            login.totp_confirmed_at = now
            (await session.get_one(LoginSession, session_id)).has_second_factor = True
            await sessions.end_all(session, login_id, but=session_id)
            await tell(session, login, "factor_on", now=now)
            return await recovery.renew(session, login_id)

    async def renew_recovery_codes(self, login_id: str, password: str, code: str, *, now: datetime) -> Sequence[str]:
        """New ones, this once; the former end. Raises `Forbidden`."""
        await self._checked(login_id, password, now, code=code)
        async with self._database.begin() as session:
            return await recovery.renew(session, login_id)

    async def drop_second_factor(self, login_id: str, password: str, code: str, *, now: datetime) -> None:
        """No code is asked for any more. Raises `Forbidden`."""
        await self._checked(login_id, password, now, code=code)
        async with self._database.begin() as session:
            login = await session.get_one(Login, login_id, with_for_update=True)
            login.totp_secret = login.totp_confirmed_at = None
            await recovery.drop(session, login_id)
            await tell(session, login, "factor_off", now=now)

    async def _checked(self, login_id: str, password: str, now: datetime, *, code: str | None = None) -> Login:
        """A stolen session is no way to guess the password, nor the code: the same waits hold, until both are right."""
        async with self._database.begin() as session:
            login = await session.get_one(Login, login_id)
            wait_s = await throttle.wait_s(session, login.email_index, now=now)
            if wait_s == 0:
                await throttle.count_failure(session, login.email_index, now=now)
        if wait_s > 0:
            raise TooManyFailures(wait_s)
        if not await self._passwords.check(password, login.password_hash):
            raise Forbidden("the password or the code is not right" if code else "the password is not right")
        async with self._database.begin() as session:
            if code is not None:
                login = await session.get_one(Login, login_id, with_for_update=True)
                if login.totp_confirmed_at is None or not await _use_any(session, login, code, now):
                    raise Forbidden("the password or the code is not right")
            await throttle.forgive(session, login.email_index)
        return login


async def by_email(session: AsyncSession, email: str) -> Login | None:
    """The login of an address."""
    found: Login | None = await session.scalar(
        select(Login).where(Login.email_index.in_(keys_in(session).indexes(email)))
    )
    return found


async def tell(session: AsyncSession, login: Login, notice: str, *, about: str | None = None, now: datetime) -> None:
    """Tell a member by mail what became of their log-in. Staff are few and known."""
    if login.member_id is not None and login.account_id is not None:
        await mailing.tell(session, notice, account=login.account_id, member=login.member_id, about=about, now=now)


def _normal(email: str) -> str:
    """One spelling of an address; what is none is nobody's, and is refused as a wrong one is."""
    try:
        return email_address(email)
    except Invalid:
        return email[:300].lower()


def _use(login: Login, code: str, now: datetime) -> bool:
    """Whether it is the code of now, which is used up then. The row is locked."""
    if login.totp_secret is None:
        return False
    step = totp.accepted(login.totp_secret, code, after=login.totp_step, now=now)
    if step is not None:
        login.totp_step = step
    return step is not None


async def _use_any(session: AsyncSession, login: Login, code: str, now: datetime) -> bool:
    """Whether it is the app's code of now or one for recovery, which is used up then. The row is locked."""
    return _use(login, code, now) or await recovery.use(session, login.id, code, now=now)


async def _uncount(session: AsyncSession, key: str) -> None:
    """A right password without the code is half a log-in: neither a failure nor a reason to forget those before it."""
    counted = await session.get(Throttle, key, with_for_update=True)
    if counted is not None:
        counted.failures -= 1
        counted.blocked_until = counted.blocked_until if counted.failures >= throttle.FREE else None


async def _email(session: AsyncSession, login: Login) -> str:
    if login.member_id is not None:
        return (await session.get_one(Member, login.member_id)).email
    return (await session.get_one(Staff, login.staff_id)).email
