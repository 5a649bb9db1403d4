"""Accounts: customers, who never see each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.registry.account_tables import Account
from backend.registry.errors import Missing, Taken
from backend.registry.names import name as checked


async def add(session: AsyncSession, name: str, *, region: str, now: datetime) -> Account:
    """A new account. Raises `Taken` or `Invalid`."""
    account = Account(id=ids.new("acc"), name=checked(name), region=region, created_at=now, activated_at=now)
    session.add(account)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken(f"there is an account named {account.name} already") from error
    return account


async def find(session: AsyncSession, id_or_name: str) -> Account:
    """The account of this id or name. Raises `Missing`."""
    query = select(Account).where(or_(Account.id == id_or_name, Account.name == id_or_name.strip()))
    account = await session.scalar(query)
    if account is None:
        raise Missing(f"there is no account {id_or_name}")
    return account


async def listed(session: AsyncSession) -> Sequence[Account]:
    """All accounts, by name."""
    return (await session.scalars(select(Account).order_by(Account.name))).all()
