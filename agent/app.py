"""The agent, wired: discover → poll → pseudonymize → batch → spool → uplink; and the files for people at the site.

One task group is the root of everything. When it is told to stop, asking ends first; then what was read goes into
the spool, the backend is given a few seconds to take it, and the files of the state folder are written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple

import aiohttp
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import durable, enrolment, logs, status, transit
from agent.aggregate import Aggregator
from agent.batcher import Batcher
from agent.config import AgentSettings
from agent.daemon import Daemon, Progress
from agent.discover import expand
from agent.drivers import fence, flood_watch
from agent.drivers.auto import Auto
from agent.drivers.floods import Floods
from agent.drivers.registry import engine
from agent.enrolment import Enrolment, State
from agent.errors import AgentError
from agent.intake import Intake
from agent.keyring import Keyring
from agent.known import KnownMachines, RememberedMiner
from agent.lan.desk import Desk
from agent.lan.meters import Meters
from agent.lan.password import Password
from agent.lan.server import LanPage, Sources
from agent.pause import Pause
from agent.poll import Poller
from agent.pools import PublicPools
from agent.privacy import Privacy
from agent.records import Records
from agent.reload import Reloaded, reloaded
from agent.renewal import Renewal
from agent.search import REST_S, Search
from agent.spool import Spool
from agent.twins import Twin
from agent.uplink import USUAL, Pacing, Uplink
from agent.vault import Vault
from agent.vitals import Vitals

_LAST_SENDING_S: Final = 5.0
_RESCAN: Final = "rescan"

log = structlog.get_logger()


class Place(NamedTuple):
    """What a site's state folder holds when the agent starts."""

    state: State
    enrolled: Enrolment
    keyring: Keyring


class Pace(NamedTuple):
    """How often things are done that no setting is about."""

    uplink: Pacing
    write_s: float  # between two looks after the files for the people at the site
    rest_s: float  # between two looks of the scan


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
    place = Place(state, enrolment.load(state, settings.backend.url), Keyring.load(state.key))
    with Spool(state.spool, int(settings.spool.max_mb * 1_000_000)) as spool:
        durable.sweep(state.folder)
        async with transit.session(place.enrolled.url, settings.backend.ca_file) as client:
            pace = Pace(pacing, write_s, rest_s)
            await Agent(settings, place, spool, client, clock, pace, daemon or Daemon()).run(stop)


class Agent:
    """The parts of a running agent and how they hang together."""

    def __init__(
        self,
        settings: AgentSettings,
        place: Place,
        spool: Spool,
        client: aiohttp.ClientSession,
        clock: Callable[[], datetime],
        pace: Pace,
        daemon: Daemon,
    ) -> None:
        state, enrolled, keyring = place
        self._settings = settings
        self._place = place
        self._spool = spool
        self._clock = clock
        self._write_s = pace.write_s
        self._daemon = daemon
        self._addresses = dict.fromkeys(expand(settings.network.ranges, settings.network.exclude))
        self._floods = Floods()
        self._driver = engine(
            settings.poll.engine,
            credentials=settings.credentials,
            vendor_passwords=settings.poll.vendor_passwords,
            within=self._addresses,
            floods=self._floods,
        )
        vault = Vault(state.vault, keyring, clock)
        self._known = KnownMachines(state.machines, keyring, clock)
        self._desk = Desk(clock)
        self._pause = Pause(state.pause, clock)
        privacy = Privacy(settings.privacy.mode, state.totals_only)

        def enrolment_now() -> Enrolment:
            return enrolment.load(state, settings.backend.url)

        self._uplink = Uplink(client, enrolment_now, spool, clock, pace.uplink, self._desk.leaves, privacy)
        self._renewal = Renewal(client, state, enrolment_now, clock, self._uplink.renewed)
        self._batcher = Batcher(
            spool,
            enrolled.site,
            keyring.epoch,
            clock,
            batch_readings=settings.spool.batch_readings,
            flush_s=settings.spool.flush_s,
            spooled=self._uplink.wake,
        )
        meters = Meters(lambda: self._vitals.status(), self._desk, lambda: self._poller.counts)
        self._intake = Intake(
            keyring,
            self._known,
            vault,
            self._desk,
            meters,
            privacy,
            self._batcher,
            Aggregator(settings.poll.interval_s),
            PublicPools(settings.pools.public, settings.pools.expected),
            clock,
            vanished=lambda address: self._search.vanished(address),
        )
        self._poller = Poller(
            self._intake.take,
            clock=clock,
            interval_s=settings.poll.interval_s,
            deadline_s=settings.poll.deadline_s,
            concurrency=settings.poll.concurrency,
            name_of=self._intake.name_of,
        )
        self._search = Search(self._poller, self._driver, self._intake.see, self._intake.name_of, clock, pace.rest_s)
        self._search.within(self._addresses, settings.network.connections_per_s)
        self._vitals = Vitals(
            enrolled=enrolled,
            clock=clock,
            write_s=pace.write_s,
            poller=self._poller,
            intake=self._intake,
            batcher=self._batcher,
            spool=spool,
            uplink=self._uplink,
            pause=self._pause,
            privacy=privacy,
            desk=self._desk,
            started_at=clock(),
        )
        self._records = Records(state.status, vault, self._known, self._poller, self._intake, self._desk, self._vitals)
        self._page = LanPage(
            settings.lan,
            Password(state.lan_password),
            Sources(self._vitals.status, vault.get, self._desk, meters, self._pause, clock, state.disclosures),
            look_again_s=pace.write_s,
        )
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, and then finish what was begun."""
        self._remember()
        self._scheduler.add_job(self._ask_to_search, "interval", id=_RESCAN, seconds=self._settings.network.rescan_s)
        self._scheduler.start()
        log.info("agent.started", site=self._place.enrolled.site, remembered=len(self._poller.miners))
        try:
            async with _together(
                batch=self._batcher.run(),
                work=self._work_unless_paused(),
                files=self._records.run(self._pause, self._write_s),
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
                floods=flood_watch.watch(self._floods),
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

    async def _ask_to_search(self) -> None:
        """A coroutine: the scheduler calls plain functions in another thread."""
        self._search.ask()

    async def _reload_over_and_over(self) -> None:
        while True:
            await self._daemon.reload.wait()
            self._daemon.reload.clear()
            self._daemon.manager.reloading()
            try:
                self._apply(reloaded(self._settings, await asyncio.to_thread(self._daemon.load)))
            except AgentError as error:
                self._vitals.settings_trouble = f"those in the file were refused: {logs.redact(str(error))}"
                log.error("settings.refused", why=str(error), hint="the agent goes on with those that it has")
            self._daemon.manager.ready()

    def _apply(self, after: Reloaded) -> None:
        """Go by these settings from now on; what machines are being asked right now is not disturbed."""
        network, before = after.settings.network, self._settings
        addresses = dict.fromkeys(expand(network.ranges, network.exclude))
        fence.around(addresses)
        self._intake.go_by(PublicPools(after.settings.pools.public, after.settings.pools.expected))
        self._settings, self._addresses, self._vitals.settings_trouble = after.settings, addresses, after.words
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
            why = progress.stuck(self._vitals.signs())
            if not why:
                manager.alive()
            manager.words(f"stuck: {why}" if why else status.in_short(self._vitals.status()))
            await asyncio.sleep(min(self._write_s, (manager.watchdog_s or 60.0) / 3))

    async def _finish(self) -> None:
        """Keep all that was read, and send what the backend takes in the last seconds."""
        await self._batcher.flush()
        try:
            async with asyncio.timeout(_LAST_SENDING_S):
                if self._pause.since is None:
                    await self._uplink.drain()
        except (AgentError, TimeoutError):
            pass  # it is in the spool, and leaves after the next start
        await self._records.write(everything=True)


@asynccontextmanager
async def _together(**work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let all of it run, by its names, until the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name=name) for name, one in work.items()]
        yield
        for task in tasks:
            task.cancel()
