"""What an account declared, what was discovered, and the difference; `engine` judges the same by the same placing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.registry.machine_tables import DeclaredMachines
from backend.registry.rule_tables import SiteWatch
from backend.warnings.declared import placed
from backend.warnings.known import Known
from backend.warnings.machines import declarations_of, known_of

SEEN_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a member says is at a site."""

    site: SiteId
    brand: str
    category: str | None
    model: str
    quantity: int
    machines: tuple[str, ...]  # pseudonyms of some of them
    pool: str | None
    tariff: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Machines of one model that were seen at a site in the last 24 hours."""

    site: SiteId
    make: str | None
    model: str | None
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of one declaration, or of machines that none declares (`declared` 0)."""

    site: SiteId
    brand: str | None
    model: str | None
    declared: int
    seen: int  # in the last 24 hours
    missing: tuple[str, ...]  # known ones that were not seen
    unknown: tuple[str, ...]  # seen and not declared

    @property
    def never_seen(self) -> int:
        """Of the declared ones, those that have no pseudonym yet."""
        return max(0, self.declared - self.seen - len(self.missing))


async def declare(session: AsyncSession, account: AccountId, entries: Sequence[Entry], *, now: datetime) -> None:
    """Declare these and nothing else. The rules go by it from the next batch on."""
    await session.execute(delete(DeclaredMachines).where(DeclaredMachines.account_id == account))
    for position, entry in enumerate(entries):
        session.add(
            DeclaredMachines(
                account_id=account,
                position=position,
                site_id=entry.site,
                brand=entry.brand,
                category=entry.category,
                model=entry.model,
                quantity=entry.quantity,
                machines=list(entry.machines),
                pool=entry.pool,
                tariff=entry.tariff,
                changed_at=now,
            )
        )
    await session.execute(
        update(SiteWatch).where(SiteWatch.account_id == account).values(version=SiteWatch.version + 1)
    )


async def declared(session: AsyncSession, account: AccountId) -> Sequence[DeclaredMachines]:
    """What the account declared."""
    query = select(DeclaredMachines).where(DeclaredMachines.account_id == account).order_by(DeclaredMachines.position)
    return (await session.scalars(query)).all()


async def compared(
    session: AsyncSession, account: AccountId, site: SiteId, *, now: datetime
) -> tuple[list[Group], list[Difference]]:
    """What was discovered at a site, and how it differs from what is declared."""
    known = await known_of(session, account, site)
    declarations = await declarations_of(session, account, site)
    since = (now - SEEN_WITHIN).timestamp()
    is_seen = {machine: each.seen_at > since for machine, each in known.items()}
    groups = Counter((each.make, each.model) for machine, each in known.items() if is_seen[machine])
    discovered = [Group(site, make, model, count) for (make, model), count in groups.items()]
    if not declarations:
        return discovered, []
    places = placed(declarations, known, now.timestamp())
    differences = [
        Difference(
            site=site,
            brand=each.brand,
            model=each.model,
            declared=each.quantity,
            seen=sum(is_seen[machine] for machine, found in places.items() if found == place),
            missing=tuple(sorted(m for m, found in places.items() if found == place and not is_seen[m])),
            unknown=(),
        )
        for place, each in enumerate(declarations)
    ]
    strangers = [machine for machine, place in places.items() if place is None and is_seen[machine]]
    return discovered, differences + _undeclared(site, known, strangers)


def _undeclared(site: SiteId, known: dict[str, Known], strangers: Sequence[str]) -> list[Difference]:
    models: dict[tuple[str | None, str | None], list[str]] = {}
    for machine in sorted(strangers):
        models.setdefault((known[machine].make, known[machine].model), []).append(machine)
    return [
        Difference(site=site, brand=make, model=model, declared=0, seen=len(found), missing=(), unknown=tuple(found))
        for (make, model), found in models.items()
    ]
