"""Sites: the farms of an account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.registry.errors import Missing, Taken
from backend.registry.names import name as checked
from backend.registry.site_tables import Site


async def add(session: AsyncSession, account: AccountId, name: str, *, now: datetime) -> Site:
    """A new site. Raises `Taken` or `Invalid`."""
    site = Site(id=ids.new("sit"), account_id=account, name=checked(name), created_at=now)
    session.add(site)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken(f"the account has a site named {site.name} already") from error
    return site


async def find(session: AsyncSession, account: AccountId, id_or_name: str) -> Site:
    """The account's site of this id or name. Raises `Missing`, for another account's as well."""
    query = select(Site).where(Site.account_id == account, or_(Site.id == id_or_name, Site.name == id_or_name.strip()))
    site = await session.scalar(query)
    if site is None:
        raise Missing(f"there is no site {id_or_name} in this account")
    return site


async def listed(session: AsyncSession, account: AccountId) -> Sequence[Site]:
    """The account's sites, by name."""
    return (await session.scalars(select(Site).where(Site.account_id == account).order_by(Site.name))).all()
