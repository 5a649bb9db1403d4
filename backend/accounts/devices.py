"""Where people log in from, so that they are told of a log-in from elsewhere.

Kept is a keyed hash of the log-in's id, the network (IPv4 /24, IPv6 /48) and the browser's family: it names neither,
and says nothing without the service's keys. The first one of a log-in is its owner's; nobody is told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.login_tables import KnownDevice, Login
from backend.registry.sealed import keys_in

FORGOTTEN_AFTER: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Device:
    """What is told apart of who logs in."""

    network: str
    browser: str  # its family


async def is_strange(session: AsyncSession, login: Login, device: Device, *, now: datetime) -> bool:
    """Whether the login was used before, and never from here; from now on it was."""
    [fingerprint, *_] = keys_in(session).macs(b"device", f"{login.id}\n{device.network}\n{device.browser}")
    known = await session.get(KnownDevice, (login.id, fingerprint))
    if known is not None:
        known.seen_at = now
        return False
    was_used = await session.scalar(select(KnownDevice.login_id).where(KnownDevice.login_id == login.id).limit(1))
    session.add(KnownDevice(login_id=login.id, fingerprint=fingerprint, seen_at=now))
    return was_used is not None


async def forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Remove those that were not seen for `FORGOTTEN_AFTER`."""
    await session.execute(delete(KnownDevice).where(KnownDevice.seen_at <= now - FORGOTTEN_AFTER))
