"""A registry with one account, its contact and its site, for tests of warnings and notifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select, update

from agent.wire import Batch, Reading, State
from backend.config import Contact, Notify
from backend.ids import AccountId, SiteId
from backend.notify.dispatcher import Dispatcher
from backend.notify.outbox import Outbox
from backend.notify.protocol import Notifier
from backend.notify.routing import Channel
from backend.registry import accounts, members, sites
from backend.registry.database import Database
from backend.registry.notify_tables import OutboxMessage
from backend.registry.rule_tables import RuleState
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.warnings.actions import Actions
from backend.warnings.catalogue import Catalogue
from backend.warnings.engine import Engine
from backend.warnings.overrides import Numbers
from tests.backend.readings import NOW, at, batch, machine, reading

CATALOGUE: Final = Catalogue.load()
NOTIFY: Final = Notify()


@dataclass
class Farm:
    """One site, and what is made over its registry."""

    folder: Path
    database: Database
    account: AccountId
    site: SiteId
    member: str

    def engine(self, settings: Mapping[str, Numbers] | None = None, database: Database | None = None) -> Engine:
        """An engine, as a backend that has just started has one."""
        return Engine(database or self.database, CATALOGUE, Outbox(NOTIFY), settings)

    def actions(self) -> Actions:
        return Actions(self.database, CATALOGUE, Outbox(NOTIFY))

    def dispatcher(
        self, notifiers: Mapping[Channel, Notifier], database: Database | None = None, **options: Any
    ) -> Dispatcher:
        return Dispatcher(
            database or self.database,
            notifiers,
            NOTIFY,
            catalogue=CATALOGUE,
            public_url="https://farm.example.com",
            contact=Contact(email="help@example.com"),
            **({"clock": lambda: NOW} | options),
        )

    def other_process(self) -> Database:
        """The same registry as another process opens it."""
        return Database(f"sqlite:///{self.folder / 'registry.db'}", is_disposable=True)

    async def judge(
        self, engine: Engine, readings: Iterable[Reading], *, now: datetime | None = None, **fields: Any
    ) -> Batch:
        """Have a batch judged that arrives when its newest reading was made, or at `now`."""
        readings = tuple(readings)
        now = now or max(each.time for each in readings)
        made = batch(readings, site=self.site, **({"sent_at": now} | fields))
        await engine.judge(self.account, self.site, made, now=now)
        return made

    async def feed(self, engine: Engine, start: float, values: Sequence[Reading | None]) -> None:
        """A batch a minute, the engine's timers after each; None: nothing comes."""
        for minute, value in enumerate(values):
            now = at(start + minute)
            if value is not None:
                await self.judge(engine, [value.model_copy(update={"time": now})], now=now)
            await engine.tick(now=now)

    async def firing(self) -> list[tuple[str, str, str]]:
        """Rule, machine and severity of what fires, in order."""
        return sorted((w.rule, w.machine, w.severity) for w in await self.warnings() if w.resolved_at is None)

    async def warnings(self) -> Sequence[Warning]:
        """All warnings, oldest first."""
        async with self.database.read() as session:
            return (await session.scalars(select(Warning).order_by(Warning.started_at, Warning.rule))).all()

    async def outbox(self) -> Sequence[OutboxMessage]:
        """All messages, by channel and then as they were written."""
        async with self.database.read() as session:
            order = (OutboxMessage.channel, OutboxMessage.created_at, OutboxMessage.due_at)
            return (await session.scalars(select(OutboxMessage).order_by(*order))).all()

    async def states(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Rule states as stored, by machine and rule."""
        async with self.database.read() as session:
            rows = await session.scalars(select(RuleState))
            return {(row.machine, row.rule): row.state for row in rows}

    async def set_site(self, **values: Any) -> None:
        async with self.database.begin() as session:
            await session.execute(update(Site).where(Site.id == self.site).values(**values))


async def farm(folder: Path, database: Database) -> Farm:
    """A farm in an empty registry, which is in `folder`."""
    async with database.begin() as session:
        account = AccountId((await accounts.add(session, "farm", region="eu", now=NOW)).id)
        site = await sites.add(session, account, "North", now=NOW)
        member = await members.add(
            session, account, email="op@example.com", phone="+12025550123", verified=True, now=NOW
        )
    return Farm(folder, database, account, SiteId(site.id), member.id)


def hashing(number: int = 1, time: datetime = NOW, **fields: Any) -> Reading:
    """A machine that does what it should."""
    return reading(number, time, hashrate_ths=110.0, is_meant_to_mine=True, **fields)


def idle(number: int = 1, time: datetime = NOW) -> Reading:
    """A machine that should mine and does not."""
    return reading(number, time, State.IDLE, hashrate_ths=0.0, is_meant_to_mine=True)


def gone(number: int = 1, time: datetime = NOW) -> Reading:
    """A machine that does not answer."""
    return reading(number, time, State.UNREACHABLE)


def rounds(make: Any, numbers: Iterable[int], minutes: Iterable[float]) -> list[Reading]:
    """Readings of some machines at some minutes."""
    return [make(number, at(minute)) for minute in minutes for number in numbers]


M1: Final = machine(1)
M2: Final = machine(2)
MINUTE: Final = timedelta(minutes=1)
