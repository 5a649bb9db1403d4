"""Plays a scenario through the real engine, outbox and dispatcher, over a registry of its own, without waiting.

The clock goes from one thing that happens to the next: a poll, an act, a message that is due, a look at the timers
(each minute), an expectation.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import MAX_READINGS, Batch, Board, Pool, Reading, State
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
from backend.warnings.actions import Actions
from backend.warnings.catalogue import BadRule, Catalogue
from backend.warnings.engine import Engine
from backend.warnings.scenario import Act, BadScenario, Expectation, Machine, Scenario, Value, split

_TICK: Final = timedelta(minutes=1)


@dataclass
class Recorder:
    """A notifier that keeps what it is given."""

    messages: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.messages.append(message)

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
        self.recorder = Recorder()
        self.now = now
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
    if strangers := {rule for rule in scenario.rules() if rule not in catalogue}:
        there_are = ", ".join(rule.name for rule in catalogue)
        raise BadScenario(f"there is no rule {', '.join(sorted(strangers))}; there are {there_are}")
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
            stage = _Stage(database, AccountId(account.id), SiteId(site.id), catalogue, scenario.start)
            return await _Play(scenario, stage).run()
        finally:
            await database.close()


class _Play:
    def __init__(self, scenario: Scenario, stage: _Stage) -> None:
        self._scenario = scenario
        self._stage = stage
        self._polls = {machine.name: machine.polls() for machine in scenario.machines}
        self._ids = {machine.name: pseudonym(machine.name) for machine in scenario.machines}
        self._names = {code: name for name, code in self._ids.items()}
        self._unsent: list[tuple[timedelta, list[Reading]]] = []
        self._offset = timedelta(seconds=sum(agent.clock_offset_s for agent in scenario.agents))
        self._differences: list[str] = []

    async def run(self) -> list[str]:
        end = max((each.at for each in self._scenario.expectations), default=timedelta())
        interval = timedelta(seconds=self._scenario.interval_s)
        polls = {interval * number: number for number in range(int(end / interval) + 1)}
        ticks = {_TICK * number for number in range(int(end / _TICK) + 1)}
        acts = sorted(self._scenario.acts, key=lambda act: act.at)
        expected = {each.at for each in self._scenario.expectations}
        for at in sorted({*polls, *ticks, *expected, *(act.at for act in acts if act.at <= end)}):
            await self._deliver_until(at)
            for act in acts:
                if act.at == at:
                    await self._act(act)
            if at in polls:
                await self._poll(at, polls[at])
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
        self._unsent.append((at, [self._reading(machine, number, time) for machine in self._scenario.machines]))
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

    def _reading(self, machine: Machine, number: int, time: datetime) -> Reading:
        fields = self._polls[machine.name].at(number)
        common: dict[str, Any] = {"time": time, "machine": self._ids[machine.name], "model": machine.model}
        if fields is None:
            return Reading(state=State.UNREACHABLE, **common)
        plain = {name: fields[name] for name in _AS_THEY_ARE if name in fields}
        return Reading(
            state=_state(fields),
            expected_ths=machine.expected_ths,
            boards=_boards(fields, machine.boards),
            pools=_pools(fields),
            **common,
            **plain,
        )

    async def _act(self, act: Act) -> None:
        try:
            await self._do(act)
        except (RegistryError, BadRule) as error:
            self._differences.append(f"at {text(act.at)}: cannot be done: {error}")

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
        async with self._stage.database.read() as session:
            active = await warnings.listed(session, self._stage.account, limit=1_000_000)
        firing = {(warning.rule, self._names.get(warning.machine, warning.machine)) for warning in active}
        expected = {split(each) for each in expectation.firing}
        at = text(expectation.at)
        for key in sorted(firing - expected):
            self._differences.append(f"at {at}: {' '.join(key).strip()} fires, and is not expected to")
        for key in sorted(expected - firing):
            self._differences.append(f"at {at}: {' '.join(key).strip()} is expected to fire, and does not")
        notified = len(self._stage.recorder.messages)
        if expectation.notified not in (None, notified):
            self._differences.append(f"at {at}: {notified} messages left, {expectation.notified} are expected")


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


def pseudonym(name: str) -> str:
    """A machine's pseudonym, from its name in the scenario."""
    digest = hashlib.sha256(name.encode()).digest()[:10]
    return "mnr-" + base64.b32encode(digest).decode().lower().translate(_CROCKFORD)


def text(at: timedelta) -> str:
    """A time as scenario files write it."""
    seconds = int(at.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0m"


_CROCKFORD: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghjkmnpqrstvwxyz")
_POOL: Final = "pol-" + 16 * "0"
_AS_THEY_ARE: Final = (
    "hashrate_ths",
    "inlet_temp_c",
    "fans_rpm",
    "power_w",
    "shares_accepted",
    "shares_rejected",
    "last_share_age_s",
    "pool_expected",
    "uptime_s",
    "fault_codes",
    "is_meant_to_mine",
)


def _state(fields: Mapping[str, Value]) -> State:
    """As the agent says it."""
    hashrate, meant = fields.get("hashrate_ths"), fields.get("is_meant_to_mine")
    if hashrate:
        return State.HASHING
    if meant is False:
        return State.PAUSED
    if fields.get("fault_codes"):
        return State.FAULT
    return State.HASHING if hashrate is None and meant else State.IDLE


def _boards(fields: Mapping[str, Value], expected: int | None) -> tuple[Board, ...] | None:
    """All boards, those that answer first; what is said of "the" board is said of the first."""
    said: dict[str, Any] = {
        name: fields[name]
        for name in ("chip_temp_c", "board_temp_c", "chips_working", "chips_expected")
        if name in fields
    }
    active = fields.get("boards_active")
    if not isinstance(active, float):
        return (Board(index=0, **said),) if said else None
    boards = [
        Board(index=index, **{"chips_working": 1 if index < active else 0, **(said if index == 0 else {})})
        for index in range(max(int(active), expected or 0))
    ]
    return tuple(boards)


def _pools(fields: Mapping[str, Value]) -> tuple[Pool, ...] | None:
    alive = fields.get("pools_alive")
    if not isinstance(alive, float):
        return None
    return tuple(Pool(host=_POOL, alive=index < alive) for index in range(max(int(alive), 1)))
