"""A site's machines in the registry: those of which readings came, and those that its account declared.

All of it inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.registry.machine_tables import DeclaredMachines, KnownMachine
from backend.registry.upserting import upsert
from backend.warnings import known
from backend.warnings.declared import Declaration
from backend.warnings.known import Known

FORGOTTEN_AFTER: Final = timedelta(days=30)
"""A machine of which nothing came for so long is not one of its site's any more."""


async def known_of(session: AsyncSession, account: AccountId, site: SiteId) -> dict[str, Known]:
    """The machines of which readings came."""
    rows = await session.execute(
        select(
            KnownMachine.machine,
            KnownMachine.make,
            KnownMachine.model,
            KnownMachine.first_at,
            KnownMachine.seen_at,
            KnownMachine.at,
            KnownMachine.memory,
        ).where(KnownMachine.account_id == account, KnownMachine.site_id == site)
    )
    return {
        machine: known.from_json(memory, make=make, model=model, first_at=first_at, seen_at=seen_at, at=at)
        for machine, make, model, first_at, seen_at, at, memory in rows
    }


async def declarations_of(session: AsyncSession, account: AccountId, site: SiteId) -> list[Declaration]:
    """What the account declared of the site, in its order."""
    rows = await session.scalars(
        select(DeclaredMachines)
        .where(DeclaredMachines.account_id == account, DeclaredMachines.site_id == site)
        .order_by(DeclaredMachines.position)
    )
    return [
        Declaration(brand=row.brand, model=row.model, quantity=row.quantity, machines=frozenset(row.machines))
        for row in rows
    ]


async def save_known(session: AsyncSession, account: AccountId, site: SiteId, machines: Mapping[str, Known]) -> None:
    """Write what is remembered of machines."""
    rows = [
        {
            "account_id": account,
            "site_id": site,
            "machine": machine,
            "make": each.make,
            "model": each.model,
            "first_at": datetime.fromtimestamp(each.first_at, UTC),
            "seen_at": datetime.fromtimestamp(each.seen_at, UTC),
            "at": datetime.fromtimestamp(each.at, UTC),
            "memory": known.to_json(each),
        }
        for machine, each in machines.items()
    ]
    if rows:
        await upsert(session, KnownMachine, rows)


async def forget_gone(session: AsyncSession, *, now: datetime) -> None:
    """Forget machines that are gone for long."""
    await session.execute(delete(KnownMachine).where(KnownMachine.at < now - FORGOTTEN_AFTER))
