"""Sites: the farms of an account."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.registry.errors import Invalid, Missing, Taken
from backend.registry.names import name as named
from backend.registry.site_tables import Site

_CURRENCY: Final = re.compile("[A-Z]{3}")
_DEAREST: Final = 1_000_000.0


async def add(session: AsyncSession, account: AccountId, name: str, *, now: datetime) -> Site:
    """A new site. Raises `Taken` or `Invalid`."""
    site = Site(id=ids.new("sit"), account_id=account, name=named(name), created_at=now)
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


async def change(session: AsyncSession, account: AccountId, id_or_name: str, changes: Mapping[str, Any]) -> Site:
    """Change what is known of a site; `changes` by column. Raises `Missing`, `Taken` or `Invalid`."""
    site = await find(session, account, id_or_name)
    for column, value in checked(changes).items():
        setattr(site, column, value)
    if site.tariff_per_kwh is not None and site.currency is None:
        raise Invalid("currency: say in which currency a kWh costs that, such as USD")
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken("the account has a site of that name already") from error
    return site


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a site may be told. Raises `Invalid`, which says what to write instead."""
    found = dict(values)
    if "name" in found:
        found["name"] = named(found["name"])
    if "time_zone" in found:
        known_zone(found["time_zone"])
    tariff, currency, page = (found.get(name) for name in ("tariff_per_kwh", "currency", "lan_url"))
    if tariff is not None and not (math.isfinite(tariff) and abs(tariff) <= _DEAREST):
        raise Invalid("tariff_per_kwh: a number such as 0.065")
    if currency is not None and not _CURRENCY.fullmatch(currency):
        raise Invalid("currency: three capitals of ISO 4217, such as USD, EUR, CNY")
    if page is not None:
        _check_page(page)
    return found


def known_zone(name: str) -> ZoneInfo:
    """A time zone by its name. Raises `Invalid`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid("a time zone is a name such as Asia/Shanghai or Europe/Berlin") from error


def _check_page(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_page = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_page = False
    if not is_page or len(url) > 300 or parts.username is not None or parts.query or parts.fragment:
        raise Invalid("lan_url: the address of the agent's page at the site, such as http://192.168.1.5:8700")
