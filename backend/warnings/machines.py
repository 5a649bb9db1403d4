"""A site's machines in the registry: those of which readings came, and those that its account declared.

All of it inside the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.registry.listing import listed
from backend.registry.machine_tables import DeclaredMachines, KnownMachine
from backend.registry.upserting import MANY, upsert
from backend.warnings.declared import Declaration
from backend.warnings.known import Known, from_json, to_json

FORGOTTEN_AFTER: Final = timedelta(days=30)
"""A machine of which nothing came for so long is not one of its site's any more."""


async def known_of(session: AsyncSession, account: AccountId, site: SiteId) -> dict[str, Known]:
    """The machines of which readings came."""
    columns = KnownMachine.__table__.c
    rows = await (await session.connection()).execute(
        select(
            columns.machine,
            columns.make,
            columns.model,
            columns.first_at,
            columns.seen_at,
            columns.at,
            columns.memory,
        ).where(columns.account_id == account, columns.site_id == site)
    )
    return {
        machine: from_json(memory, make=make, model=model, first_at=first_at, seen_at=seen_at, at=at)
        for machine, make, model, first_at, seen_at, at, memory in rows.all()
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
    """Write what is remembered of machines. Of one that does not answer, nothing changes but since when."""
    silent: defaultdict[tuple[float, float], list[str]] = defaultdict(list)
    rows = []
    for machine, each in machines.items():
        if each.seen_at < each.at and each.first_at < each.at:
            silent[each.seen_at, each.at].append(machine)
        else:
            rows.append(_row(account, site, machine, each))
    for (seen_at, at), names in silent.items():
        if len(names) < MANY:
            rows += [_row(account, site, machine, machines[machine]) for machine in names]
            continue
        await session.execute(
            update(KnownMachine)
            .where(
                KnownMachine.account_id == account,
                KnownMachine.site_id == site,
                KnownMachine.machine.in_(listed(session, names)),
            )
            .values(seen_at=datetime.fromtimestamp(seen_at, UTC), at=datetime.fromtimestamp(at, UTC)),
            execution_options={"synchronize_session": False},
        )
    if rows:
        await upsert(session, KnownMachine, rows)


def _row(account: AccountId, site: SiteId, machine: str, known: Known) -> dict[str, Any]:
    return {
        "account_id": account,
        "site_id": site,
        "machine": machine,
        "make": known.make,
        "model": known.model,
        "first_at": datetime.fromtimestamp(known.first_at, UTC),
        "seen_at": datetime.fromtimestamp(known.seen_at, UTC),
        "at": datetime.fromtimestamp(known.at, UTC),
        "memory": to_json(known),
    }


async def forget_gone(session: AsyncSession, *, now: datetime) -> None:
    """Forget machines that are gone for long."""
    await session.execute(delete(KnownMachine).where(KnownMachine.at < now - FORGOTTEN_AFTER))
