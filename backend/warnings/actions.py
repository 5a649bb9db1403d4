"""What people do about warnings: pause a machine, silence, acknowledge, change a rule's numbers.

Each is one transaction. Raises `Missing` for what is not in the account and `BadRule` for what a rule cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.registry.database import Database
from backend.registry.errors import Missing
from backend.registry.tables import PausedMachine, RuleOverride, RuleState, Silence, Site, SiteWatch, Warning
from backend.warnings.catalogue import BadRule, Catalogue
from backend.warnings.event import Event
from backend.warnings.overrides import Numbers, check
from backend.warnings.publish import Publisher, log_events
from backend.warnings.records import active, locked, watch_of
from backend.warnings.step import Change


class Actions:
    """Changes by people, for the engine to go by from the next reading on."""

    def __init__(self, database: Database, catalogue: Catalogue, outbox: Outbox) -> None:
        self._database = database
        self._catalogue = catalogue
        self._publisher = Publisher(catalogue, outbox)

    async def pause_machine(self, account: AccountId, site: SiteId, machine: str, *, now: datetime) -> None:
        """From now on the machine raises nothing; what it raised is over. Pausing it again changes nothing."""
        async with self._database.begin() as session:
            row = await _site(session, account, site)
            if await session.get(PausedMachine, (site, machine)) is not None:
                return
            session.add(PausedMachine(site_id=site, machine=machine, account_id=account, paused_at=now))
            await session.execute(
                delete(RuleState).where(
                    RuleState.account_id == account, RuleState.site_id == site, RuleState.machine == machine
                )
            )
            (await watch_of(session, account, site)).version += 1
            events = [
                Event(machine, rule, Change.RESOLVED, now, resolution="paused")
                for of, rule in await active(session, account, site)
                if of == machine
            ]
            await self._publisher.publish(session, row, events, now=now)
        log_events(account, site, events)

    async def resume_machine(self, account: AccountId, site: SiteId, machine: str) -> None:
        """The machine is judged again, as if it were new."""
        async with self._database.begin() as session:
            await _site(session, account, site)
            await session.execute(
                delete(PausedMachine).where(PausedMachine.site_id == site, PausedMachine.machine == machine)
            )
            (await watch_of(session, account, site)).version += 1

    async def silence(
        self,
        account: AccountId,
        site: SiteId | None,
        *,
        machine: str | None = None,
        rule: str | None = None,
        starts_at: datetime,
        ends_at: datetime,
    ) -> str:
        """Tell nobody of what matches until it ends (None: anything); a maintenance window names a site only.

        What fires meanwhile and still does at its end is told then. Returns the silence's id.
        """
        if rule is not None and rule not in self._catalogue:
            raise BadRule(f"there is no rule {rule}")
        async with self._database.begin() as session:
            if site is not None:
                await _site(session, account, site)
            silence = Silence(
                id=ids.new("sil"),
                account_id=account,
                site_id=site,
                machine=machine,
                rule=rule,
                starts_at=starts_at,
                ends_at=ends_at,
            )
            session.add(silence)
            return silence.id

    async def acknowledge(self, account: AccountId, site: SiteId, rule: str, machine: str, *, now: datetime) -> None:
        """Somebody cares for a firing warning: no more reminders of it. `machine` is "" for a site's rule."""
        async with self._database.begin() as session:
            result = await session.execute(
                update(Warning)
                .where(
                    Warning.account_id == account,
                    Warning.site_id == site,
                    Warning.machine == machine,
                    Warning.rule == rule,
                    Warning.resolved_at.is_(None),
                )
                .values(acknowledged_at=now)
                .returning(Warning.id)
            )
            if result.first() is None:
                raise Missing("no such warning fires")

    async def change_rule(
        self,
        account: AccountId,
        rule: str,
        numbers: Numbers,
        *,
        site: SiteId | None = None,
        model: str | None = None,
        machine: str | None = None,
        now: datetime,
    ) -> None:
        """Give a rule other numbers, everywhere in the account or where it says; instead of those given there before.
        Without numbers, the rule goes by its weaker sources again."""
        check(self._catalogue, {rule: numbers})
        key = {
            "account_id": account,
            "rule": rule,
            "site_id": site or "",
            "model": model or "",
            "machine": machine or "",
        }
        async with self._database.begin() as session:
            sites = (await session.scalars(select(Site.id).where(Site.account_id == account).with_for_update())).all()
            if site is not None and site not in sites:
                raise Missing("there is no such site in this account")
            row = await session.get(RuleOverride, key)
            if row is not None:
                await session.delete(row)
                await session.flush()
            if numbers:
                session.add(RuleOverride(**key, numbers=_plain(numbers), changed_at=now))
            await session.execute(
                update(SiteWatch).where(SiteWatch.account_id == account).values(version=SiteWatch.version + 1)
            )


async def _site(session: AsyncSession, account: AccountId, site: SiteId) -> Site:
    row = await locked(session, account, site)
    if row is None:
        raise Missing("there is no such site in this account")
    return row


def _plain(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(number) for name, number in numbers.items()}
