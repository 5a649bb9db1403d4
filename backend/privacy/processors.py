"""The register of processors: who handles personal data for the service, what they get and why.

Guarantee: a message leaves through a host that is in the register and not ended, or not at all; it waits. Ending a
processor counts from the next message on. This machine itself is registered when the service first starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.notify.loopback import is_loopback
from backend.notify.protocol import Message, Notifier, TryLater
from backend.privacy import audit
from backend.registry.database import Database
from backend.registry.errors import Invalid, Missing, Taken
from backend.registry.names import name as checked
from backend.registry.privacy_tables import Processor

THIS_MACHINE: Final = "this machine"
WEBHOOKS: Final = "webhooks"
"""Stands for the hosts that accounts name themselves; ending it ends all webhooks at once."""
_LOOPBACK: Final = "localhost"


async def register(session: AsyncSession, *, name: str, host: str, gets: str, why: str, now: datetime) -> Processor:
    """From now on the service may send through this host. Raises `Taken` or `Invalid`."""
    if not (gets.strip() and why.strip()):
        raise Invalid("say what the processor gets, and why")
    made = Processor(
        name=checked(name), host=_canonical(host), gets=gets.strip(), why=why.strip(), registered_at=now, ended_at=None
    )
    session.add(made)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Taken(f"there is a processor named {made.name} already, perhaps ended: choose another name") from error
    return made


async def register_own(session: AsyncSession, *, now: datetime) -> None:
    """Once: a mail server on this machine is run by who runs the service; a webhook's by who asked for it."""
    if await session.get(Processor, WEBHOOKS) is None:
        gets, why = "warnings under pseudonyms", "members have their own on-call tools told"
        await register(session, name=WEBHOOKS, host=WEBHOOKS, gets=gets, why=why, now=now)
    if await session.get(Processor, THIS_MACHINE) is None:
        gets, why = "messages to members, with their contacts", "programs on this machine hand messages on"
        await register(session, name=THIS_MACHINE, host=_LOOPBACK, gets=gets, why=why, now=now)


async def end(session: AsyncSession, name: str, *, now: datetime) -> Processor:
    """Nothing is sent through it from now on, and it has to delete what it has. Raises `Missing`."""
    found = await _find(session, name)
    if found.ended_at is None:
        found.ended_at = now
    return found


async def confirm_deleted(session: AsyncSession, name: str, *, now: datetime) -> Processor:
    """It says that it keeps nothing any more. Raises `Missing` or `Invalid`."""
    found = await _find(session, name)
    if found.ended_at is None:
        raise Invalid("end the processor first")
    found.deleted_at = now
    return found


async def listed(session: AsyncSession) -> Sequence[Processor]:
    """All of them, former ones too, by name."""
    return (await session.scalars(select(Processor).order_by(Processor.name))).all()


class Registered:
    """A `Notifier` that asks the register before each message, and writes down that a contact was used."""

    def __init__(self, notifier: Notifier, host: str, database: Database, clock: Callable[[], datetime]) -> None:
        self._notifier = notifier
        self._host = _canonical(host)
        self._database = database
        self._clock = clock

    async def is_registered(self) -> bool:
        """Whether a message could leave now."""
        async with self._database.read() as session:
            return await self._is_registered(session)

    async def send(self, message: Message) -> None:
        """See `Notifier.send`; `TryLater` while no registered processor has this host."""
        async with self._database.begin() as session:
            if not await self._is_registered(session):
                raise TryLater("its server is not in the register of processors: itsminer-backend processor add")
            await audit.record(
                session, actor="job:messages", action="contact.used", subject=message.id, now=self._clock()
            )
        await self._notifier.send(message)

    async def close(self) -> None:
        """See `Notifier.close`."""
        await self._notifier.close()

    async def _is_registered(self, session: AsyncSession) -> bool:
        query = select(Processor.name).where(Processor.host == self._host, Processor.ended_at.is_(None))
        return (await session.scalars(query.limit(1))).one_or_none() is not None


async def _find(session: AsyncSession, name: str) -> Processor:
    found = await session.get(Processor, name.strip())
    if found is None:
        raise Missing(f"there is no processor {name}")
    return found


def _canonical(host: str) -> str:
    host = host.strip().lower().rstrip(".")
    if not host or len(host) > 253 or "/" in host or " " in host:
        raise Invalid("a host is a name or an address, without a scheme")
    return _LOOPBACK if is_loopback(host) else host
