"""Who belongs to an account: invitations, roles, leaving. An account is never without an owner."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import challenges, mailing
from backend.accounts.rights import ROLES, is_at_least
from backend.ids import AccountId, MemberId
from backend.registry.account_tables import Member
from backend.registry.errors import Forbidden, Invalid, Missing, Taken
from backend.registry.login_tables import Challenge
from backend.registry.members import email_address
from backend.registry.sealed import account_keys_in


async def invite(
    session: AsyncSession, account: AccountId, by: MemberId, own_role: str, *, email: str, role: str, now: datetime
) -> Challenge:
    """Ask somebody to join, by mail. Nobody gives more than they have. Raises `Invalid`, `Forbidden` or `Taken`."""
    address = email_address(email)
    if role not in ROLES:
        raise Invalid(f"a role is one of {', '.join(ROLES)}")
    if not is_at_least(own_role, role):
        raise Forbidden(f"who is {own_role} cannot make somebody {role}")
    query = select(Member.id).where(
        Member.account_id == account, Member.email_index == account_keys_in(session).index(account, address)
    )
    if await session.scalar(query) is not None:
        raise Taken("the account has a member with this e-mail address already")
    asked = await challenges.issue(
        session, "invitation", contact=address, account=account, member=by, role=role, now=now
    )
    if await mailing.may_write_to(session, address, now=now):
        await mailing.send(session, asked, account=account, member=by, now=now)
    return asked


async def change_role(session: AsyncSession, account: AccountId, member_id: str, role: str) -> None:
    """From the next request on. Raises `Missing`, `Invalid` or `Forbidden`."""
    if role not in ROLES:
        raise Invalid(f"a role is one of {', '.join(ROLES)}")
    member = await _find(session, account, member_id)
    if role != "owner":
        await _leaves_an_owner(session, member)
    member.role = role


async def remove(session: AsyncSession, account: AccountId, member_id: str) -> None:
    """The member is forgotten: contacts, login, sessions, tokens, invitations. Raises `Missing`, `Forbidden`."""
    member = await _find(session, account, member_id)
    await _leaves_an_owner(session, member)
    await session.delete(member)


async def _find(session: AsyncSession, account: AccountId, member_id: str) -> Member:
    found = await session.scalar(select(Member).where(Member.account_id == account, Member.id == member_id))
    if found is None:
        raise Missing("there is no such member in this account")
    return found


async def _leaves_an_owner(session: AsyncSession, member: Member) -> None:
    owners = await session.scalar(
        select(func.count()).select_from(Member).where(Member.account_id == member.account_id, Member.role == "owner")
    )
    if member.role == "owner" and owners == 1:
        raise Forbidden("an account has an owner: make somebody else one first")
