"""What people do about warnings: pause a machine, silence, acknowledge, change a rule's numbers.

Each is one transaction. Raises `Missing` for what is not in the account and `BadRule` for what a rule cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.registry.database import Database
from backend.registry.errors import Missing
from backend.registry.machine_tables import PausedMachine
from backend.registry.rule_tables import RuleChange, RuleOverride, RuleState, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Silence, Warning
from backend.warnings.catalogue import BadRule, Catalogue, Rule
from backend.warnings.event import Event
from backend.warnings.overrides import Numbers, check
from backend.warnings.publish import Publisher, log_events
from backend.warnings.records import locked, watch_of
from backend.warnings.step import Change
from backend.warnings.warning_rows import active

FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a silence ends that has no end."""

MOST_CHANGES: Final = 2_000
"""Of one account: each costs with every site that is read."""


class Actions:
    """Changes by people, for the engine to go by from the next reading on."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        outbox: Outbox,
        settings: Mapping[str, Numbers] | None = None,
    ) -> None:
        self._database = database
        self.catalogue = catalogue
        self.settings = settings or {}
        self._publisher = Publisher(catalogue, outbox)

    async def pause_machine(self, account: AccountId, site: SiteId, machine: str, *, now: datetime) -> None:
        """From now on the machine raises nothing; what it raised is over. Pausing it again changes nothing."""
        async with self._database.begin() as session:
            await _site(session, account, site)
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
            await self._publisher.publish(session, account, site, events, now=now)
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
        member: str | None = None,
        starts_at: datetime,
        ends_at: datetime = FOREVER,
        by: str | None = None,
        reason: str | None = None,
    ) -> Silence:
        """Tell nobody, or not this member, of what matches until it ends (None: anything); a maintenance window names
        a site only.

        What fires meanwhile and still does at its end is told then.
        """
        if rule is not None:
            self.known(rule)
        if ends_at <= starts_at:
            raise BadRule("it has to end after it begins")
        async with self._database.begin() as session:
            if site is not None:
                await _site(session, account, site)
            silence = Silence(
                id=ids.new("sil"),
                account_id=account,
                site_id=site,
                machine=machine,
                rule=rule,
                member_id=member,
                made_by=by,
                reason=reason,
                starts_at=starts_at,
                ends_at=ends_at,
            )
            session.add(silence)
            return silence

    async def end_silence(self, account: AccountId, silence: str, *, member: str | None = None, now: datetime) -> None:
        """End a silence now; one of a member's own is ended by them alone. What fires is told."""
        async with self._database.begin() as session:
            found = await session.scalar(
                select(Silence).where(
                    Silence.id == silence,
                    Silence.account_id == account,
                    or_(Silence.member_id.is_(None), Silence.member_id == member),
                    Silence.ends_at > now,
                )
            )
            if found is None:
                raise Missing("there is no such silence")
            if found.starts_at >= now:
                await session.delete(found)  # it never began
                return
            found.ends_at = now
            query = select(Site).where(Site.account_id == account)
            if found.site_id is not None:
                query = query.where(Site.id == found.site_id)
            for site in (await session.scalars(query)).all():
                await self._publisher.tell_anew(session, site, now=now)

    async def acknowledge_one(self, account: AccountId, warning: str, *, now: datetime) -> None:
        """Somebody cares for this warning, which may be over already. Raises `Missing`."""
        async with self._database.begin() as session:
            found = await session.scalar(select(Warning).where(Warning.id == warning, Warning.account_id == account))
            if found is None:
                raise Missing("there is no such warning")
            found.acknowledged_at = found.acknowledged_at or now

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

    def known(self, rule: str) -> Rule:
        """The rule of this name. Raises `BadRule`."""
        found = self.catalogue.get(rule)
        if found is None:
            raise BadRule(f"there is no rule {rule}; there are {', '.join(each.name for each in self.catalogue)}")
        return found

    async def change_rule(
        self,
        account: AccountId,
        rule: str,
        numbers: Numbers,
        *,
        site: SiteId | None = None,
        model: str | None = None,
        machine: str | None = None,
        by: str = "command",
        now: datetime,
    ) -> None:
        """Give a rule other numbers, everywhere in the account or where it says; instead of those given there before.
        Without numbers, the rule goes by its weaker sources again. The change goes into the history."""
        check(self.catalogue, {rule: numbers})
        if self.known(rule).scope == "site" and (model or machine):
            raise BadRule(f"{rule} is about a site: it has no numbers for a model or a machine")
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
            before, after = dict(row.numbers) if row is not None else {}, _plain(numbers)
            if before == after:
                return
            if row is not None:
                await session.delete(row)
                await session.flush()
            if numbers:
                query = select(func.count()).select_from(RuleOverride).where(RuleOverride.account_id == account)
                if (await session.scalar(query) or 0) >= MOST_CHANGES:
                    raise BadRule(f"{MOST_CHANGES} changes are the most: change a rule for a site or a model instead")
                session.add(RuleOverride(**key, numbers=after, changed_at=now))
            session.add(RuleChange(id=ids.new("rch"), **key, at=now, changed_by=by, before=before, after=after))
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
