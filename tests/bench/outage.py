"""All machines of all sites fall silent at once: what it costs the rules until each site's one message, and back.

Real registry, outbox and dispatcher, as in the service; the time is made up. CPU, not time by the wall. From the first
unanswered poll to the message there are eight polls of every machine. `outage_100k_cpu_s` is what those three cost
at which something comes of it: the first unanswered one, the one at which all warnings fire, the one with the message;
`outage_100k_beyond_judging_cpu_s` is that without what judging three such polls costs when nothing comes of them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import uuid4

from agent.wire import Batch, Reading, State
from backend.config import Contact, Notify
from backend.ids import AccountId, SiteId
from backend.notify.dispatcher import Dispatcher
from backend.notify.outbox import Outbox
from backend.notify.routing import Channel
from backend.registry import accounts, members, sites
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue
from backend.warnings.engine import Engine
from backend.warnings.rehearsal import Recorder
from tests.backend.readings import machine

SITES = 10
MACHINES = 10_000
"""Of each site."""
BATCH_READINGS = 2_000
POLLS = 8
"""Unanswered ones until the message: five minutes until the machines' warnings fire, two until the site's does."""
START = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


@dataclass
class Farm:
    """The backend, its sites and its clock."""

    database: Database
    account: AccountId
    sites: list[SiteId]
    recorder: Recorder
    now: datetime = START

    def start(self) -> None:
        """As a new process does."""
        catalogue, settings = Catalogue.load(), Notify()
        self.engine = Engine(self.database, catalogue, Outbox(settings))
        self.dispatcher = Dispatcher(
            self.database,
            dict.fromkeys(Channel, self.recorder),
            settings,
            catalogue=catalogue,
            public_url="https://itsminer.invalid",
            contact=Contact(),
            clock=lambda: self.now,
        )

    async def poll(self, reading: Callable[[datetime], Reading], minutes: int) -> list[float]:
        """Every machine says this, once a minute; the CPU that the backend took for each time, seconds."""
        spent_s = []
        for _ in range(minutes):
            said = reading(self.now)
            batches = [(site, batch) for place, site in enumerate(self.sites) for batch in self._batches(place, said)]
            with cpu() as taken:
                for site, batch in batches:
                    await self.engine.judge(self.account, site, batch, now=self.now)
                await self.engine.tick(now=self.now)
                await self._send(until=self.now + _MINUTE)
            spent_s.append(taken[0])
        return spent_s

    async def _send(self, until: datetime) -> None:
        while (due_at := await self.dispatcher.next_due()) is not None and due_at < until:
            self.now = max(due_at, self.now)
            await self.dispatcher.dispatch(now=self.now)
        self.now = until

    def _batches(self, place: int, said: Reading) -> Iterator[Batch]:
        for first in range(0, MACHINES, BATCH_READINGS):
            numbers = range(place * MACHINES + first, place * MACHINES + min(first + BATCH_READINGS, MACHINES))
            readings = tuple(said.model_copy(update={"machine": machine(number)}) for number in numbers)
            yield Batch(id=uuid4(), site=self.sites[place], agent="0.1.0", sent_at=self.now, readings=readings)


async def measured(folder: Path, well: Callable[[datetime], Reading]) -> dict[str, float]:
    """Figures of an outage of all machines, of the backend's restart in it, and of their coming back."""
    database = Database(f"sqlite:///{folder / 'outage.db'}")
    try:
        await database.migrate()
        async with database.begin() as session:
            account = AccountId((await accounts.add(session, "outage", region="eu", now=START)).id)
            names = [(await sites.add(session, account, f"Site {place}", now=START)).id for place in range(SITES)]
            await members.add(session, account, email="op@example.com", phone=None, verified=True, now=START)
        farm = Farm(database, account, [SiteId(name) for name in names], Recorder(lambda: START))
        farm.start()
        *_, well_s = await farm.poll(well, minutes=3)
        outage_s = await farm.poll(_silent, minutes=POLLS)
        messages = len(farm.recorder.sent)
        farm.start()
        (restart_s,) = await farm.poll(_silent, minutes=1)
        back_s = await farm.poll(well, minutes=3)
    finally:
        await database.close()
    total = SITES * MACHINES
    of_note_s = outage_s[0] + outage_s[5] + outage_s[7]
    plain_s = median(outage_s[1:5])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "outage_100k_cpu_s": of_note_s,
        "outage_100k_beyond_judging_cpu_s": of_note_s - 3 * plain_s,
        "outage_100k_all_polls_cpu_s": sum(outage_s),
        "outage_100k_restart_cpu_s": restart_s,
        "outage_100k_recovery_cpu_s": sum(back_s),
        "outage_100k_messages": messages,
    }
    print(f"{total:,} machines of {SITES} sites stop answering; CPU seconds")
    print(f"  a poll of all, all well                   {well_s:>12.2f} s")
    print(f"  each poll from the first unanswered one   {' '.join(f'{each:.2f}' for each in outage_s)} s")
    print(f"  the three at which something comes of it  {of_note_s:>12.2f} s")
    print(f"  of that beyond judging three polls        {figures['outage_100k_beyond_judging_cpu_s']:>12.2f} s")
    print(f"  messages                                  {messages:>12}")
    print(f"  the first poll after a restart in it      {restart_s:>12.2f} s")
    print(f"  three polls until all are well again      {sum(back_s):>12.2f} s")
    print(f"  memory at most                            {peak_mb:>12.0f} MB")
    return figures


def _silent(at: datetime) -> Reading:
    return Reading(machine=machine(0), time=at, state=State.UNREACHABLE)


@contextmanager
def cpu() -> Iterator[list[float]]:
    """The CPU seconds of the block, all threads'; known at its end."""
    taken, began_s = [0.0], time.process_time()
    yield taken
    taken[0] = time.process_time() - began_s
