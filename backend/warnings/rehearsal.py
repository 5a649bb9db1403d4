"""Plays a scenario through the real engine, outbox and dispatcher, over a registry of its own, without waiting.

The clock goes from one thing that happens to the next: a poll, an act, a message that is due, a look at the timers
(each minute), an expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import MAX_READINGS, Batch, Reading
from backend.config import Contact, Notify
from backend.ids import AccountId, SiteId
from backend.notify.dispatcher import Dispatcher
from backend.notify.outbox import Outbox
from backend.notify.protocol import Message
from backend.notify.routing import Channel
from backend.registry import accounts, members, sites, warnings
from backend.registry.database import Database
from backend.registry.errors import RegistryError
from backend.registry.machine_tables import DeclaredMachines
from backend.registry.rule_tables import SiteWatch
from backend.warnings.actions import Actions
from backend.warnings.catalogue import BadRule, Catalogue
from backend.warnings.engine import Engine
from backend.warnings.instead import of_firing, of_messages, of_quiet, written
from backend.warnings.scenario import Act, BadScenario, Expectation, Scenario, split
from backend.warnings.scenario_readings import pseudonym, reading_of

_TICK: Final = timedelta(minutes=1)
_LISTENED: Final = timedelta(minutes=5)
"""Before a silence: the timers have to know that somebody listened."""


@dataclass
class Recorder:
    """A notifier that keeps what it is given, and when."""

    clock: Callable[[], datetime]
    sent: list[tuple[datetime, Message]] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.sent.append((self.clock(), message))

    async def close(self) -> None:
        pass


class _Stage:
    """A registry with one account, contact and site, and the backend's parts over it."""

    def __init__(
        self, database: Database, account: AccountId, site: SiteId, catalogue: Catalogue, now: datetime
    ) -> None:
        self.database = database
        self.account = account
        self.site = site
        self.catalogue = catalogue
        self.now = now
        self.recorder = Recorder(lambda: self.now)
        self.start()

    def start(self) -> None:
        """Begin as a new process does: with what the database has, and nothing else."""
        settings = Notify()
        outbox = Outbox(settings)
        self.engine = Engine(self.database, self.catalogue, outbox)
        self.actions = Actions(self.database, self.catalogue, outbox)
        self.dispatcher = Dispatcher(
            self.database,
            dict.fromkeys(Channel, self.recorder),
            settings,
            catalogue=self.catalogue,
            public_url="https://itsminer.invalid",
            contact=Contact(),
            clock=lambda: self.now,
        )


async def rehearse(scenario: Scenario, catalogue: Catalogue | None = None) -> list[str]:
    """What differs from what the scenario expects, one line each. Raises `BadScenario` for a rule that there is not."""
    catalogue = catalogue or Catalogue.load()
    _check(scenario, catalogue)
    with TemporaryDirectory(prefix="itsminer-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'registry.db'}", is_disposable=True)
        try:
            await database.migrate()
            async with database.begin() as session:
                account = await accounts.add(session, "scenario", region="eu", now=scenario.start)
                site = await sites.add(session, AccountId(account.id), scenario.site, now=scenario.start)
                await members.add(
                    session,
                    AccountId(account.id),
                    email="contact@example.com",
                    phone="+12025550123",
                    verified=True,
                    now=scenario.start,
                )
                _declare(session, AccountId(account.id), SiteId(site.id), scenario)
                # The site was there before: its first interval is no silence.
                session.add(
                    SiteWatch(site_id=site.id, account_id=account.id, version=0, interval_s=scenario.interval_s)
                )
            stage = _Stage(database, AccountId(account.id), SiteId(site.id), catalogue, scenario.start)
            return await _Play(scenario, stage).run()
        finally:
            await database.close()


def _check(scenario: Scenario, catalogue: Catalogue) -> None:
    if strangers := {rule for rule in scenario.rules() if rule not in catalogue}:
        there_are = ", ".join(rule.name for rule in catalogue)
        raise BadScenario(f"there is no rule {', '.join(sorted(strangers))}; there are {there_are}")
    for rule, machine in (split(each) for expectation in scenario.expectations for each in expectation.firing):
        if (catalogue[rule].scope == "machine") is not bool(machine):
            which = "a machine's: name it after the rule" if not machine else "the site's: it stands alone"
            raise BadScenario(f"firing: {rule} is {which}")


class _Play:
    def __init__(self, scenario: Scenario, stage: _Stage) -> None:
        self._scenario = scenario
        self._stage = stage
        self._polls = {machine.name: machine.polls() for machine in scenario.machines}
        self._ids: dict[str, str] = {machine.name: pseudonym(machine.name) for machine in scenario.machines}
        self._names = {code: name for name, code in self._ids.items()}
        self._unsent: list[tuple[timedelta, list[Reading]]] = []
        self._offset = timedelta(seconds=sum(agent.clock_offset_s for agent in scenario.agents))
        self._differences: list[str] = []

    async def run(self) -> list[str]:
        end = max((each.at for each in self._scenario.expectations), default=timedelta())
        interval = timedelta(seconds=self._scenario.interval_s)
        polls = {interval * number: number for number in range(int(end / interval) + 1)}
        watched = [
            (agent.silent[0] - interval - _LISTENED, agent.silent[1] + interval)
            for agent in self._scenario.agents
            if agent.silent is not None
        ]
        # The timers are for silences of the agent: all else is decided by batches.
        minutes = (_TICK * number for number in range(int(end / _TICK) + 1))
        ticks = {at for at in minutes if _is_in(watched, at)}
        acts = sorted(self._scenario.acts, key=lambda act: act.at)
        expected = {each.at for each in self._scenario.expectations}
        for at in sorted({*polls, *ticks, *expected, *(act.at for act in acts if act.at <= end)}):
            await self._deliver_until(at)
            for act in acts:
                if act.at == at:
                    await self._act(act)
            if at in polls:
                await self._poll(at, polls[at])
            if _is_in(watched, at):
                await self._stage.engine.tick(now=self._stage.now)
            await self._send_due()
            for expectation in self._scenario.expectations:
                if expectation.at == at:
                    await self._compare(expectation)
        return self._differences

    async def _deliver_until(self, at: timedelta) -> None:
        """Send what becomes due before the next thing happens, each message at its time."""
        until = self._scenario.start + at
        while (due_at := await self._stage.dispatcher.next_due()) is not None and due_at < until:
            self._stage.now = max(due_at, self._stage.now)
            await self._stage.dispatcher.dispatch(now=self._stage.now)
        self._stage.now = until

    async def _send_due(self) -> None:
        due_at = await self._stage.dispatcher.next_due()
        if due_at is not None and due_at <= self._stage.now:
            await self._stage.dispatcher.dispatch(now=self._stage.now)

    async def _poll(self, at: timedelta, number: int) -> None:
        time = self._stage.now + self._offset
        machines = self._scenario.machines
        readings = [reading_of(machine, self._polls[machine.name].at(number), time) for machine in machines]
        self._unsent.append((at, readings))
        if any(agent.silent and agent.silent[0] <= at < agent.silent[1] for agent in self._scenario.agents):
            return
        oldest = self._unsent[0][0]
        for _, readings in self._unsent:
            for start in range(0, max(len(readings), 1), MAX_READINGS):
                batch = Batch(
                    id=uuid4(),
                    site=self._stage.site,
                    agent="scenario",
                    sent_at=time,
                    backlog_s=(at - oldest).total_seconds(),
                    readings=tuple(readings[start : start + MAX_READINGS]),
                )
                await self._stage.engine.judge(self._stage.account, self._stage.site, batch, now=self._stage.now)
        self._unsent.clear()

    async def _act(self, act: Act) -> None:
        try:
            await self._do(act)
        except (RegistryError, BadRule) as error:
            self._differ(written(act.at), f"cannot be done: {error}")

    async def _do(self, act: Act) -> None:
        stage, machine = self._stage, self._ids.get(act.machine or "")
        actions, here = stage.actions, (stage.account, stage.site)
        if act.pause_machine is not None and machine:
            await actions.pause_machine(*here, machine, now=stage.now)
        elif act.resume_machine is not None and machine:
            await actions.resume_machine(*here, machine)
        elif act.silence is not None:
            until = stage.now + act.silence.duration
            await actions.silence(*here, machine=machine, rule=act.silence.rule, starts_at=stage.now, ends_at=until)
        elif act.maintenance is not None:
            await actions.silence(*here, starts_at=stage.now, ends_at=stage.now + act.maintenance.duration)
        elif act.acknowledge is not None:
            await actions.acknowledge(*here, split(act.acknowledge)[0], machine or "", now=stage.now)
        elif act.threshold is not None:
            change = act.threshold
            await actions.change_rule(
                stage.account,
                change.rule,
                change.numbers,
                site=stage.site,
                model=change.model,
                machine=machine,
                now=stage.now,
            )
        elif act.restart_backend:
            stage.start()

    async def _compare(self, expectation: Expectation) -> None:
        stage, at = self._stage, written(expectation.at)
        expected = {split(each) for each in expectation.firing}
        async with stage.database.read() as session:
            active = await warnings.listed(session, stage.account, limit=1_000_000)
            firing = {(each.rule, self._names.get(each.machine, each.machine)): each for each in active}
            for key in sorted(firing.keys() - expected):
                instead = of_firing(firing[key], stage.catalogue, self._clock)
                self._differ(at, f"{' '.join(key).strip()} fires, and is not expected to: {instead}")
            for rule, name in sorted(expected - firing.keys()):
                machine = pseudonym(name) if name else ""
                instead = await of_quiet(session, stage.account, rule, machine, stage.catalogue, self._clock)
                self._differ(at, f"{f'{rule} {name}'.strip()} is expected to fire, and does not: {instead}")
        sent = stage.recorder.sent
        if expectation.notified not in (None, len(sent)):
            left = of_messages([(when, message.subject) for when, message in sent], self._clock)
            self._differ(at, f"{len(sent)} messages left, {expectation.notified} are expected: {left}")

    def _differ(self, at: str, what: str) -> None:
        self._differences.append(f"at {at}: {what}")

    def _clock(self, at: datetime) -> str:
        return written(at - self._scenario.start)


def _is_in(spans: Sequence[tuple[timedelta, timedelta]], at: timedelta) -> bool:
    return any(first <= at <= last for first, last in spans)


def _declare(session: AsyncSession, account: AccountId, site: SiteId, scenario: Scenario) -> None:
    """The machines that are declared, by name; also when that is none of them."""
    declared = [pseudonym(machine.name) for machine in scenario.machines if machine.declared]
    session.add(
        DeclaredMachines(
            account_id=account,
            position=0,
            site_id=site,
            brand="any",
            model="any",
            quantity=len(declared),
            machines=declared,
            changed_at=scenario.start,
        )
    )
