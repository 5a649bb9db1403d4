"""Corrections: what is wrong is made right, and that it was is written down; neither the old nor the new value is.

A contact counts as right when its owner shows that it is theirs: what was sent there comes back. Until then the old one
stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import challenges, mailing
from backend.accounts.logins import by_email
from backend.ids import AccountId
from backend.privacy import audit
from backend.registry import contacts, names, sites
from backend.registry.account_tables import Account, Member
from backend.registry.errors import Forbidden, Invalid, Missing, Taken
from backend.registry.login_tables import Challenge, Login
from backend.registry.members import email_address, phone_number
from backend.registry.rights_tables import Correction
from backend.registry.sealed import account_keys_in, keys_in

Field = Literal["email", "phone", "language", "account_name", "site_name"]

OWNERS: Final = ("account_name", "site_name")
"""What is the account's, and an owner's to correct."""
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")


async def of_member(
    session: AsyncSession,
    member: Member,
    field: Field,
    value: str,
    *,
    by: str,
    request: str | None = None,
    now: datetime,
) -> Correction | None:
    """Correct what is a member's own. None: a contact, which counts once `confirm` has shown that it is theirs.

    Raises `Invalid` or `Taken`.
    """
    if field == "language":
        if not _LANGUAGE.fullmatch(value.strip()):
            raise Invalid("a language is a code such as en or pt-BR")
        member.language = value.strip()
        return await _note(session, member.account_id, member.id, field, by=by, request=request, now=now)
    contact = email_address(value) if field == "email" else phone_number(value)
    purpose: challenges.Purpose = "new_email" if field == "email" else "new_phone"
    if await mailing.may_write_to(session, contact, now=now):
        asked = await challenges.issue(
            session, purpose, contact=contact, account=member.account_id, member=member.id, now=now
        )
        await mailing.send(session, asked, account=member.account_id, member=member.id, now=now)
        if field == "email":  # to the address that still is theirs
            await mailing.tell(session, "moving", account=member.account_id, member=member.id, now=now)
    return None


async def confirm(session: AsyncSession, member: Member, field: Field, presented: str, *, now: datetime) -> bool:
    """Something came back from the new contact: it is theirs. False counts as a try: let it commit. Raises `Taken`."""
    purpose = "new_email" if field == "email" else "new_phone"
    asked = await session.scalar(
        select(Challenge)
        .where(Challenge.member_id == member.id, Challenge.purpose == purpose, Challenge.used_at.is_(None))
        .with_for_update()
    )
    contact = asked.contact if asked is not None else None
    if asked is None or contact is None or await challenges.answer(session, asked, presented, now=now) is None:
        return False
    asked.contact = None
    if field == "email":
        await _change_email(session, member, contact, now)
    else:
        member.phone, member.phone_verified_at, member.phone_failed_at = contact, now, None
    await contacts.renew_own(session, member, now=now)
    await _note(session, member.account_id, member.id, field, by=member.id, request=None, now=now)
    return True


async def of_account(
    session: AsyncSession,
    account: AccountId,
    field: Field,
    value: str,
    *,
    site: str | None,
    by: str,
    request: str | None = None,
    now: datetime,
) -> Correction:
    """Correct what is the account's. Raises `Missing`, `Invalid` or `Taken`."""
    if field == "site_name":
        found = await sites.find(session, account, site or "")
        found.name = names.name(value)
        subject = found.id
    else:
        owner = await session.get(Account, account)
        if owner is None:
            raise Missing("there is no such account")
        owner.name = names.name(value)
        subject = owner.id
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken("this name is taken") from error
    return await _note(session, account, subject, field, by=by, request=request, now=now)


async def listed(session: AsyncSession, account: str, *, subject: str | None = None) -> Sequence[Correction]:
    """The account's, or those of one subject; newest first."""
    query = select(Correction).where(Correction.account_id == account).order_by(Correction.at.desc(), Correction.id)
    if subject is not None:
        query = query.where(Correction.subject == subject)
    return (await session.scalars(query)).all()


def require_right(field: Field, role: str | None) -> None:
    """Raises `Forbidden` for what is not theirs to correct."""
    if field in OWNERS and role != "owner":
        raise Forbidden("names of the account and its sites are an owner's to correct")


async def _change_email(session: AsyncSession, member: Member, email: str, now: datetime) -> None:
    found = await by_email(session, email)
    if found is not None and found.member_id != member.id:
        raise Taken("this address has a log-in already")
    index = account_keys_in(session).index(member.account_id, email)
    member.email, member.email_index, member.email_verified_at, member.email_failed_at = email, index, now, None
    login = await session.scalar(select(Login).where(Login.member_id == member.id))
    if login is not None:
        login.email_index = keys_in(session).index(email)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken("the account has a member with this address already") from error


async def _note(
    session: AsyncSession, account: str, subject: str, field: str, *, by: str, request: str | None, now: datetime
) -> Correction:
    made = Correction(
        id=ids.new("cor"), account_id=account, subject=subject, field=field, at=now, by=by, request_id=request
    )
    session.add(made)
    await audit.record(session, actor=by, action=f"corrected {field}", account=account, subject=subject, now=now)
    return made
