"""Log data of the web pages: where somebody came from, roughly; with which browser; which page, when, for how long.

Guarantees: nothing else is kept, and of what is kept nothing names a person: addresses are shortened before they are
written (IPv4 to /24, IPv6 to /48), of the browser its family and first version number, of the page its path. A visit
belongs to no account: pages are served before anybody says who they are. All go after `windows.ACCESS_LOG`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.privacy_tables import Visit

LONGEST: Final = timedelta(days=1)
"""A page that is open for longer was forgotten."""

_KEPT_BITS: Final = {4: 24, 6: 48}
# The first that fits: nearly every browser also names those that it wants to be taken for.
_BROWSERS: Final = tuple(
    (family, re.compile(rf"{token}/(\d{{1,4}})"))
    for family, token in (
        ("Edge", "Edg(?:A|iOS)?"),
        ("Opera", "OPR"),
        ("Samsung Internet", "SamsungBrowser"),
        ("Firefox", "(?:Firefox|FxiOS)"),
        ("Chrome", "(?:Chrome|CriOS)"),
        ("Safari", "Version"),
    )
)


def shortened(address: IPv4Address | IPv6Address | None) -> str:
    """The network that an address is in: as much of it as is kept."""
    if address is None:
        return "unknown"
    return str(ip_network(f"{address}/{_KEPT_BITS[address.version]}", strict=False))


def browser(user_agent: str) -> str:
    """Family and first version number: `Firefox 128`; `other` for whatever is none of the common ones."""
    for family, pattern in _BROWSERS:
        if found := pattern.search(user_agent):
            return f"{family} {found[1]}"
    return "other"


async def spent(session: AsyncSession, visit: str, seconds: int, *, now: datetime) -> None:
    """How long a page was open; the page says so whenever it is left. Nothing happens for an unknown or old one."""
    await session.execute(
        update(Visit)
        .where(Visit.id == visit, Visit.at > now - LONGEST, (Visit.spent_s.is_(None)) | (Visit.spent_s < seconds))
        .values(spent_s=seconds)
    )


async def listed(session: AsyncSession, *, before: datetime | None, most: int = 200) -> Sequence[Visit]:
    """The newest visits before a time, newest first."""
    query = select(Visit).order_by(Visit.at.desc(), Visit.id).limit(most)
    return (await session.scalars(query if before is None else query.where(Visit.at < before))).all()
