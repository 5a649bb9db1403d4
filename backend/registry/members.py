"""Members: the people of an account, and where warnings reach them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import phonenumbers
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts.rights import ROLES
from backend.ids import AccountId
from backend.registry import contacts
from backend.registry.account_tables import Member
from backend.registry.errors import Invalid, Taken
from backend.registry.sealed import account_keys_in

_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")


async def add(
    session: AsyncSession,
    account: AccountId,
    *,
    email: str,
    phone: str | None = None,
    role: str = "owner",
    language: str = "en",
    verified: bool = False,
    now: datetime,
) -> Member:
    """A new member. `verified`: whoever adds them vouches for both contacts. Raises `Taken` or `Invalid`."""
    if role not in ROLES:
        raise Invalid(f"a role is one of {', '.join(ROLES)}")
    if not _LANGUAGE.fullmatch(language):
        raise Invalid("a language is a code such as en or pt-BR")
    address = email_address(email)
    member = Member(
        id=ids.new("mem"),
        account_id=account,
        role=role,
        email=address,
        email_index=account_keys_in(session).index(account, address),
        phone=phone_number(phone) if phone is not None else None,
        language=language,
        email_verified_at=now if verified else None,
        phone_verified_at=now if verified and phone is not None else None,
        created_at=now,
    )
    session.add(member)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken("the account has a member with this e-mail address already") from error
    await contacts.add_own(session, member, now=now)
    return member


async def listed(session: AsyncSession, account: AccountId) -> Sequence[Member]:
    """The account's members, by e-mail address."""
    found = await session.scalars(select(Member).where(Member.account_id == account))
    return sorted(found, key=lambda member: member.email)


def email_address(value: str) -> str:
    """The address in lower case, its domain in ASCII. Raises `Invalid`; the message quotes nothing.

    Deliberately less than RFC 5321 allows: no quoted local part, no literal address, a dot in the domain, and
    no two mailboxes that differ in case (no mail service tells them apart).
    """
    local, _, domain = value.strip().rpartition("@")
    try:
        domain = domain.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise Invalid("this is no e-mail address: its domain cannot be") from error
    labels = domain.split(".")
    if not (len(local) <= 64 and _LOCAL.fullmatch(local)):
        raise Invalid("this is no e-mail address: the part before @ cannot be")
    if len(labels) < 2 or len(domain) > 189 or not all(map(_LABEL.fullmatch, labels)):
        raise Invalid("this is no e-mail address: the part after @ is no domain")
    return f"{local.lower()}@{domain}"


def phone_number(value: str) -> str:
    """The number in E.164 (`+491701234567`). Raises `Invalid`; the message quotes nothing."""
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException as error:
        raise Invalid("this is no phone number: write it as +, country and number") from error
    if not phonenumbers.is_possible_number(number):
        raise Invalid("this is no phone number: it has too few or too many digits for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
