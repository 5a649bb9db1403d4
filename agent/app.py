"""The agent, wired: discover → poll → pseudonymize → batch → spool → uplink; and the files for people at the site.

One task group is the root of everything. When it is told to stop, asking ends first; then what was read goes into
the spool, the backend is given a few seconds to take it, and the files of the state folder are written.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import durable, enrolment, logs, status, transit
from agent.aggregate import Aggregator
from agent.batcher import Batcher
from agent.config import AgentSettings
from agent.daemon import Daemon, Progress, Signs
from agent.discover import expand
from agent.drivers import fence
from agent.drivers.auto import Auto
from agent.drivers.protocol import Driver
from agent.drivers.registry import engine
from agent.enrolment import Enrolment, State
from agent.errors import AgentError, DiskTrouble
from agent.identity import identity
from agent.known import KnownMachines, RememberedMiner
from agent.lan.desk import Desk
from agent.lan.meters import Meters
from agent.lan.password import Password
from agent.lan.server import LanPage, Sources
from agent.pause import Pause
from agent.poll import Poller
from agent.pools import PublicPools
from agent.privacy import Privacy
from agent.pseudonym import Keyring, Kind, pseudonymize
from agent.reading import Facts, RawReading
from agent.reload import Reloaded, reloaded
from agent.renewal import Renewal
from agent.search import REST_S, Search
from agent.spool import Spool
from agent.twins import Twin
from agent.uplink import USUAL, Pacing, Uplink
from agent.vault import Vault

_LAST_SENDING_S: Final = 5.0
_RESCAN: Final = "rescan"

log = structlog.get_logger()


async def run(
    settings: AgentSettings,
    clock: Callable[[], datetime],
    stop: asyncio.Event,
    *,
    pacing: Pacing = USUAL,
    write_s: float = 5.0,
    rest_s: float = REST_S,
    daemon: Daemon | None = None,
) -> None:
    """Run until `stop` is set; files for the people at the site are looked after every `write_s`.

    Raises `Misconfigured` or `DiskTrouble` when it cannot start.
    """
    state = State(settings.state_dir)
    enrolled = _enrolment(settings, state)
    keyring = Keyring.load(state.key)
    driver = engine(
        settings.poll.engine,
        credentials=settings.credentials,
        vendor_passwords=settings.poll.vendor_passwords,
        within=expand(settings.network.ranges, settings.network.exclude),
    )
    with Spool(state.spool, int(settings.spool.max_mb * 1_000_000)) as spool:
        durable.sweep(state.folder)
        async with transit.session(enrolled.url, settings.backend.ca_file) as client:
            desk = Desk(clock)
            privacy = Privacy(settings.privacy.mode, state.totals_only)
            uplink = Uplink(client, lambda: _enrolment(settings, state), spool, clock, pacing, desk.leaves, privacy)
            renewal = Renewal(client, state, lambda: _enrolment(settings, state), clock, uplink.renewed)
            agent = Agent(
                settings,
                state,
                enrolled,
                keyring,
                driver,
                spool,
                uplink,
                renewal,
                desk,
                privacy,
                clock,
                write_s,
                rest_s,
                daemon or Daemon(),
            )
            await agent.run(stop)


def _enrolment(settings: AgentSettings, state: State) -> Enrolment:
    enrolled = enrolment.load(state)
    if settings.backend.url:
        enrolled = enrolled.model_copy(update={"url": settings.backend.url})
    return enrolled


class Agent:
    """The parts of a running agent and how they hang together."""

    def __init__(
        self,
        settings: AgentSettings,
        state: State,
        enrolled: Enrolment,
        keyring: Keyring,
        driver: Driver,
        spool: Spool,
        uplink: Uplink,
        renewal: Renewal,
        desk: Desk,
        privacy: Privacy,
        clock: Callable[[], datetime],
        write_s: float,
        rest_s: float,
        daemon: Daemon,
    ) -> None:
        self._settings = settings
        self._state = state
        self._enrolled = enrolled
        self._keyring = keyring
        self._driver = driver
        self._spool = spool
        self._clock = clock
        self._pools = PublicPools(settings.pools.public, settings.pools.expected)
        self._addresses = dict.fromkeys(expand(settings.network.ranges, settings.network.exclude))
        self._vault = Vault(state.vault, keyring, clock)
        self._known = KnownMachines(state.machines, keyring, clock)
        self._uplink = uplink
        self._renewal = renewal
        self._desk = desk
        self._write_s = write_s
        self._daemon = daemon
        self._pause = Pause(state.pause, clock)
        self._batcher = Batcher(
            spool,
            enrolled.site,
            keyring.epoch,
            clock,
            batch_readings=settings.spool.batch_readings,
            flush_s=settings.spool.flush_s,
            spooled=uplink.wake,
        )
        self._poller = Poller(
            self._take,
            clock=clock,
            interval_s=settings.poll.interval_s,
            deadline_s=settings.poll.deadline_s,
            concurrency=settings.poll.concurrency,
            name_of=self._name_of,
        )
        self._search = Search(self._poller, driver, self._see, self._name_of, clock, rest_s)
        self._search.within(self._addresses, settings.network.connections_per_s)
        self._privacy = privacy
        self._aggregator = Aggregator(settings.poll.interval_s)
        self._meters = Meters(self._status, desk, lambda: self._poller.counts)
        self._page = LanPage(
            settings.lan,
            Password(state.lan_password),
            Sources(self._status, self._vault.get, desk, self._meters, self._pause, clock, state.disclosures),
            look_again_s=write_s,
        )
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._started_at = clock()
        self._last_round_at: datetime | None = None
        self._reachable: set[str] = set()
        self._file_trouble = ""
        self._settings_trouble = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, and then finish what was begun."""
        self._remember()
        self._scheduler.add_job(self._ask_to_search, "interval", id=_RESCAN, seconds=self._settings.network.rescan_s)
        self._scheduler.start()
        log.info("agent.started", site=self._enrolled.site, remembered=len(self._poller.miners))
        try:
            async with _together(
                batch=self._batcher.run(),
                work=self._work_unless_paused(),
                files=self._write_over_and_over(),
                page=self._page.run(),
                reload=self._reload_over_and_over(),
                life=self._show_life(),
                pause=self._pause.follow(),
            ):
                self._daemon.manager.ready()
                await stop.wait()
                self._daemon.manager.stopping()
        finally:
            self._scheduler.shutdown(wait=False)
            await self._finish()
        waiting = self._spool.backlog().batches
        log.info("agent.stopped", waiting_batches=waiting, unspooled_readings=self._batcher.held_readings)

    async def _work_unless_paused(self) -> None:
        """Ask and send. When a pause begins, what is under way is broken off: it is meant to be at once."""
        while True:
            await self._pause.until_over()
            async with _together(
                poll=self._poller.run(),
                scan=self._search.run(),
                uplink=self._uplink.run(),
                renewal=self._renewal.run(),
            ):
                await self._pause.until_begun()
            for miner in list(self._poller.miners.values()):
                self._poller.add(miner)  # anew, or all the turns that it misses would begin at the same moment

    def _remember(self) -> None:
        """Ask the machines of the last run from the first round on; the scan adds what is new."""
        for facts in self._known.load(frozenset(self._addresses)):
            if isinstance(self._driver, Auto):
                self._driver.remember(facts.address, facts.driver)
            miner = RememberedMiner(facts, self._driver)
            self._poller.add(Twin(miner) if facts.shares_mac else miner)

    def _take(self, raw: RawReading) -> None:
        """One reading from the poller: note its names here, send its numbers on."""
        self._last_round_at = max(raw.time, self._last_round_at or raw.time)
        if raw.live is not None:
            self._reachable.add(raw.facts.address)
            self._see(raw.facts)
        elif raw.facts.address in self._reachable:
            self._reachable.discard(raw.facts.address)
            self._search.vanished(raw.facts.address)
        try:
            self._vault.remember(raw, self._pools)
            tells_pools = raw.live is not None and raw.live.pools is not None
            last_pools = () if tells_pools else self._vault.last_pools(self._name_of(raw.facts))
            reading = pseudonymize(raw, self._keyring, self._pools, last_pools)
            (self._aggregator if self._privacy.is_totals_only else self._batcher).add(reading)
            self._desk.note(raw, reading)
            self._meters.took(raw.read_ms)
        except Exception:  # a fault in our own code that one machine brings out must not silence all the others
            log.exception("reading.lost", machine=self._name_of(raw.facts))

    async def _ask_to_search(self) -> None:
        """A coroutine: the scheduler calls plain functions in another thread."""
        self._search.ask()

    def _see(self, facts: Facts) -> None:
        before = self._known.seen(facts)
        if before is not None and before != facts and identity(before) != identity(facts):
            log.warning("machine.replaced", machine=self._name_of(facts), before=self._name_of(before))

    def _name_of(self, facts: Facts) -> str:
        return self._keyring.pseudonym(Kind.MACHINE, identity(facts))

    async def _write_over_and_over(self) -> None:
        while True:
            for total in self._aggregator.over(self._clock()):
                self._batcher.add(total)
            await self._write_files()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._write_s):
                    await self._pause.until_changed()  # whoever pressed the button wants to see it

    async def _write_files(self, *, everything: bool = False) -> None:
        """Write status, vault and machine list where they are due. Trouble is logged once, and so is its end."""
        for address in self._poller.down.intersection(self._known.gone()):  # a clock that was set makes no machine gone
            self._poller.remove(address)
        self._known.keep(self._poller.miners)
        self._desk.keep(self._poller.miners)
        self._reachable &= self._poller.miners.keys()
        try:
            if everything or self._vault.due():
                await self._vault.write()
            if everything or self._known.due():
                await self._known.write()
            await asyncio.to_thread(status.write, self._state.status, self._status())
        except DiskTrouble as error:
            if not self._file_trouble:
                log.error("files.trouble", why=str(error))
            self._file_trouble = str(error)
        else:
            if self._file_trouble:
                log.info("files.recovered")
            self._file_trouble = ""

    async def _reload_over_and_over(self) -> None:
        while True:
            await self._daemon.reload.wait()
            self._daemon.reload.clear()
            self._daemon.manager.reloading()
            try:
                self._apply(reloaded(self._settings, await asyncio.to_thread(self._daemon.load)))
            except AgentError as error:
                self._settings_trouble = f"those in the file were refused: {logs.redact(str(error))}"
                log.error("settings.refused", why=str(error), hint="the agent goes on with those that it has")
            self._daemon.manager.ready()

    def _apply(self, after: Reloaded) -> None:
        """Go by these settings from now on; what machines are being asked right now is not disturbed."""
        network, before = after.settings.network, self._settings
        addresses = dict.fromkeys(expand(network.ranges, network.exclude))
        fence.around(addresses)
        self._pools = PublicPools(after.settings.pools.public, after.settings.pools.expected)
        self._settings, self._addresses, self._settings_trouble = after.settings, addresses, after.words
        for address in self._poller.miners.keys() - addresses.keys():
            self._poller.remove(address)
        if network != before.network:
            self._scheduler.reschedule_job(_RESCAN, trigger="interval", seconds=network.rescan_s)
            self._search.within(addresses, network.connections_per_s)
            self._search.ask()
        if after.settings.log != before.log:
            logs.configure(after.settings.log.format, after.settings.log.level)
        self._page.apply(after.settings.lan)
        log.info("settings.reloaded", changed=after.changed)
        if after.waiting:
            log.warning("settings.need_restart", names=after.waiting)

    async def _show_life(self) -> None:
        """Tell the service manager how we do, and that we live, as long as the work gets on."""
        manager = self._daemon.manager
        progress = Progress(self._settings.poll.interval_s, time.monotonic)
        while True:
            why = progress.stuck(self._signs())
            if not why:
                manager.alive()
            manager.words(f"stuck: {why}" if why else status.in_short(self._status()))
            await asyncio.sleep(min(self._write_s, (manager.watchdog_s or 60.0) / 3))

    def _signs(self) -> Signs:
        uplink, counts = self._uplink.condition, self._spool.counts
        return Signs(
            resting=self._pause.since is not None,
            machines=len(self._poller.miners),
            readings=self._poller.counts.readings,
            uplink=uplink.word,
            waiting_batches=self._spool.backlog().batches,
            tries=self._desk.tries,
            settled_batches=uplink.acknowledged_batches + counts.quarantined + counts.dropped_batches,
        )

    def _status(self) -> status.Status:
        counts, backlog, uplink = self._spool.counts, self._spool.backlog(), self._uplink.condition
        return status.Status(
            version=version("itsminer"),
            pid=os.getpid(),
            site=self._enrolled.site,
            site_name=self._enrolled.site_name,
            backend=self._enrolled.url,
            started_at=self._started_at,
            written_at=self._clock(),
            write_s=self._write_s,
            settings=self._settings_trouble,
            paused_since=self._pause.since,
            privacy=self._privacy.why,
            machines=status.MachineCounts(
                known=len(self._poller.miners),
                reachable=len(self._reachable),
                last_round_at=self._last_round_at,
                sharing_mac=sum(miner.facts.shares_mac for miner in self._poller.miners.values()),
            ),
            spool=status.SpoolStatus(
                **backlog._asdict(),
                dropped_batches=counts.dropped_batches,
                dropped_readings=counts.dropped_readings + self._batcher.dropped_readings,
                quarantined=counts.quarantined,
                withheld=self._spool.withheld_batches,
                trouble=self._batcher.trouble or self._file_trouble,
            ),
            uplink=status.UplinkStatus(
                state=uplink.word,
                why=uplink.why,
                since=uplink.since,
                last_acknowledged_at=uplink.acknowledged_at,
                acknowledged_batches=uplink.acknowledged_batches,
                acknowledged_readings=uplink.acknowledged_readings,
            ),
        )

    async def _finish(self) -> None:
        """Keep all that was read, and send what the backend takes in the last seconds."""
        await self._batcher.flush()
        try:
            async with asyncio.timeout(_LAST_SENDING_S):
                if self._pause.since is None:
                    await self._uplink.drain()
        except (AgentError, TimeoutError):
            pass  # it is in the spool, and leaves after the next start
        await self._write_files(everything=True)


@asynccontextmanager
async def _together(**work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let all of it run, by its names, until the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name=name) for name, one in work.items()]
        yield
        for task in tasks:
            task.cancel()
