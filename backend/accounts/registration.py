"""Registration: an account is active when its owner has shown that the address and the phone are theirs.

Who registers gets a secret, and only who holds it can verify: a stranger who registers with somebody's address gets
nothing by their clicking the link. Until all is verified there is no login, and after `LIFETIME` nothing at all.
Registering with an address that has a login looks the same from outside; its owner is told by mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import challenges, mailing, secret
from backend.accounts.logins import by_email
from backend.accounts.passwords import Passwords, acceptable
from backend.accounts.secret import Secret
from backend.ids import AccountId
from backend.registry import members
from backend.registry.account_tables import Account, Member
from backend.registry.database import Database
from backend.registry.errors import Forbidden, Invalid, Taken
from backend.registry.login_tables import Challenge, Login, Registration
from backend.registry.members import email_address, phone_number
from backend.registry.sealed import account_keys_in, keys_in

PREFIX: Final = "imr_"
LIFETIME: Final = timedelta(hours=24)

AgeGroup = Literal["14_or_over", "under_18"]
"""All that is kept of a birth date; 14_or_over is of age."""

_MAY_NOT: Final = "this is not the right one, or it was used, or it is over a day old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who registers, checked; `person` makes one."""

    email: str
    phone: str
    age_group: AgeGroup
    guardian: str | None  # their address, of who is under 18
    language: str
    password_hash: str


async def person(
    passwords: Passwords,
    *,
    email: str,
    phone: str,
    password: str,
    birth_date: date,
    guardian_email: str | None,
    language: str,
    now: datetime,
) -> Person:
    """Check what somebody says of themselves; the birth date goes no further. Raises `Invalid` or `Forbidden`."""
    age = _age(birth_date, now)
    address, number = email_address(email), phone_number(phone)
    guardian = email_address(guardian_email) if guardian_email is not None and age < 18 else None
    if age < 18 and guardian is None:
        raise Invalid("who is under 18 needs the e-mail address of a guardian, who confirms")
    if guardian == address:
        raise Invalid("a guardian has an address of their own")
    kept = await passwords.hash(acceptable(password, address))
    group: AgeGroup = "under_18" if age < 18 else "14_or_over"
    return Person(
        email=address, phone=number, age_group=group, guardian=guardian, language=language, password_hash=kept
    )


async def register(database: Database, who: Person, *, region: str, now: datetime) -> Secret:
    """Begin; the messages are on their way. The secret opens the next steps."""
    token = secret.new(PREFIX)
    async with database.begin() as session:
        login = await by_email(session, who.email)
        if login is None:
            account = Account(id=ids.new("acc"), name="", region=region, created_at=now, activated_at=None)
            account.name = account.id  # nobody is asked for one, and it is nobody else's
            session.add(account)
            await session.flush()
            member = await _member(session, AccountId(account.id), who, "owner", now)
            await _begin(session, member, who, token, now)
            if await mailing.may_write_to(session, who.email, now=now):
                asked = await challenges.issue(
                    session, "email", contact=who.email, account=account.id, member=member.id, now=now
                )
                await mailing.send(session, asked, account=account.id, member=member.id, now=now)
        elif await mailing.may_write_to(session, who.email, now=now) and login.member_id is not None:
            holder = await session.get_one(Member, login.member_id)
            await mailing.tell(session, "registered", account=holder.account_id, member=holder.id, now=now)
    return token


async def join(database: Database, invitation: str, who: Person, *, now: datetime) -> Secret:
    """Follow an invitation, which shows that the address is theirs. Raises `Forbidden` or `Taken`."""
    token = secret.new(PREFIX)
    async with database.begin() as session:
        found = await challenges.redeem(session, "invitation", invitation, now=now)
        if found is None or found.contact != who.email or found.account_id is None:
            raise Forbidden(_MAY_NOT)
        if await by_email(session, who.email) is not None:
            raise Taken("this address has a log-in already: ask to be invited with another one")
        found.contact = None
        member = await _member(session, AccountId(found.account_id), who, found.role or "viewer", now)
        member.email_verified_at = now
        await _begin(session, member, who, token, now)
    return token


async def verify(
    database: Database, registration: str, purpose: Literal["email", "phone"], presented: str, *, now: datetime
) -> Sequence[str]:
    """Verify one contact; what is still waited for, nothing when the account is active. Raises `Forbidden`."""
    async with database.begin() as session:
        pending = await session.scalar(
            select(Registration).where(
                Registration.secret_hash == secret.hashed(registration), Registration.expires_at > now
            )
        )
        found = None if pending is None else await _open(session, pending.member_id, purpose)
        used = None if found is None else await challenges.answer(session, found, presented, now=now)
        if used is not None:
            return await _verified(session, used, now)
    raise Forbidden(_MAY_NOT)  # outside, so that a wrong try stays counted


async def confirm_as_guardian(database: Database, token: str, *, now: datetime) -> None:
    """The guardian allows it. Raises `Forbidden`."""
    async with database.begin() as session:
        used = await challenges.redeem(session, "guardian", token, now=now)
        if used is None:
            raise Forbidden(_MAY_NOT)
        await _verified(session, used, now)


async def forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Remove what nobody finished, contacts and all, and the keys that they were sealed with."""
    over = select(Registration.member_id).where(Registration.expires_at <= now)
    unfinished = Account.activated_at.is_(None) & (Account.created_at <= now - LIFETIME)
    for account in await session.scalars(delete(Account).where(unfinished).returning(Account.id)):
        account_keys_in(session).destroy(account)  # first: whoever is killed here removes the rows the next time
    await session.execute(delete(Member).where(Member.id.in_(over)))


async def _member(session: AsyncSession, account: AccountId, who: Person, role: str, now: datetime) -> Member:
    member = await members.add(
        session, account, email=who.email, phone=who.phone, role=role, language=who.language, now=now
    )
    member.age_group = who.age_group
    return member


async def _begin(session: AsyncSession, member: Member, who: Person, token: Secret, now: datetime) -> None:
    """What every registration waits for: the phone, and a guardian if need be."""
    session.add(
        Registration(
            id=ids.new("reg"),
            secret_hash=secret.hashed(token),
            account_id=member.account_id,
            member_id=member.id,
            password_hash=who.password_hash,
            expires_at=now + LIFETIME,
        )
    )
    wanted: list[tuple[Literal["phone", "guardian"], str]] = [("phone", who.phone)]
    if who.guardian is not None:
        wanted.append(("guardian", who.guardian))
    for purpose, contact in wanted:
        if await mailing.may_write_to(session, contact, now=now):
            asked = await challenges.issue(
                session, purpose, contact=contact, account=member.account_id, member=member.id, now=now
            )
            await mailing.send(session, asked, account=member.account_id, member=member.id, now=now)


async def _open(session: AsyncSession, member: str, purpose: str) -> Challenge | None:
    """The challenge that waits for an answer."""
    found: Challenge | None = await session.scalar(
        select(Challenge)
        .where(Challenge.member_id == member, Challenge.purpose == purpose, Challenge.used_at.is_(None))
        .with_for_update()
    )
    return found


async def _verified(session: AsyncSession, used: Challenge, now: datetime) -> Sequence[str]:
    """Write down what was shown, and make the account active if that was the last of it."""
    member = await session.get_one(Member, used.member_id, with_for_update=True)
    used.contact = None
    match used.purpose:
        case "email":
            member.email_verified_at = now
        case "phone":
            member.phone_verified_at = now
        case _:
            member.guardian_confirmed_at = now
    waits = {
        "email": member.email_verified_at is None,
        "phone": member.phone_verified_at is None,
        "guardian": member.age_group == "under_18" and member.guardian_confirmed_at is None,
    }
    if not any(waits.values()):
        await _activate(session, member, now)
    return [name for name, is_missing in waits.items() if is_missing]


async def _activate(session: AsyncSession, member: Member, now: datetime) -> None:
    pending = await session.scalar(select(Registration).where(Registration.member_id == member.id))
    if pending is None or await by_email(session, member.email) is not None:
        raise Forbidden(_MAY_NOT)  # somebody else registered with this address first
    session.add(
        Login(
            id=ids.new("log"),
            account_id=member.account_id,
            member_id=member.id,
            email_index=keys_in(session).index(member.email),
            password_hash=pending.password_hash,
            created_at=now,
            changed_at=now,
            totp_step=0,
        )
    )
    await session.delete(pending)
    account = await session.get_one(Account, member.account_id)
    account.activated_at = account.activated_at or now


def _age(birth_date: date, now: datetime) -> int:
    today = now.date()
    if birth_date > today or birth_date.year < 1900:
        raise Invalid("this cannot be a birth date")
    age = today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))
    if age < 14:
        raise Forbidden("who is under 14 cannot use this service; nothing was kept")
    return age
