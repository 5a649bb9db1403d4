"""The agent, wired: discover → poll → pseudonymize → batch → spool → uplink; and the files for people at the site.

One task group is the root of everything. When it is told to stop, asking ends first; then what was read goes into
the spool, the backend is given a few seconds to take it, and the files of the state folder are written.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from importlib.metadata import version
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent import enrolment, status, transit
from agent.batcher import Batcher
from agent.config import AgentSettings
from agent.discover import discover, expand
from agent.drivers.auto import Auto
from agent.drivers.protocol import Driver, Miner
from agent.drivers.registry import engine
from agent.enrolment import Enrolment, State
from agent.errors import AgentError, DiskTrouble
from agent.identity import identity
from agent.known import KnownMachines, RememberedMiner
from agent.poll import Poller
from agent.pools import PublicPools
from agent.pseudonym import Keyring, Kind, pseudonymize
from agent.reading import Facts, RawReading
from agent.spool import Spool
from agent.uplink import USUAL, Pacing, Uplink
from agent.vault import Vault

_LAST_SENDING_S: Final = 5.0

log = structlog.get_logger()


async def run(
    settings: AgentSettings,
    clock: Callable[[], datetime],
    stop: asyncio.Event,
    *,
    pacing: Pacing = USUAL,
    write_s: float = 5.0,
) -> None:
    """Run until `stop` is set; files for the people at the site are looked after every `write_s`.

    Raises `Misconfigured` or `DiskTrouble` when it cannot start.
    """
    state = State(settings.state_dir)
    enrolled = _enrolment(settings, state)
    keyring = Keyring.load(state.key)
    driver = engine(
        settings.poll.engine, credentials=settings.credentials, vendor_passwords=settings.poll.vendor_passwords
    )
    with Spool(state.spool, int(settings.spool.max_mb * 1_000_000)) as spool:
        async with transit.session(enrolled.url, settings.backend.ca_file) as client:
            uplink = Uplink(client, lambda: _enrolment(settings, state), spool, clock, pacing)
            await Agent(settings, state, enrolled, keyring, driver, spool, uplink, clock, write_s).run(stop)


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
        clock: Callable[[], datetime],
        write_s: float,
    ) -> None:
        self._settings = settings
        self._state = state
        self._enrolled = enrolled
        self._keyring = keyring
        self._driver = driver
        self._spool = spool
        self._clock = clock
        self._pools = PublicPools(settings.pools.public, settings.pools.expected)
        self._addresses = expand(settings.network.ranges, settings.network.exclude)
        self._vault = Vault(state.vault, clock)
        self._known = KnownMachines(state.machines, clock)
        self._uplink = uplink
        self._write_s = write_s
        self._batcher = Batcher(
            spool,
            enrolled.site,
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
        self._started_at = clock()
        self._last_round_at: datetime | None = None
        self._reachable: set[str] = set()
        self._rescan = asyncio.Event()
        self._file_trouble = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, and then finish what was begun."""
        self._remember()
        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.add_job(self._rescan.set, "interval", seconds=self._settings.network.rescan_s)
        scheduler.start()
        log.info("agent.started", site=self._enrolled.site, remembered=len(self._poller.miners))
        try:
            async with asyncio.TaskGroup() as group:
                working = {
                    name: group.create_task(work, name=name)
                    for name, work in {
                        "poll": self._poller.run(),
                        "scan": self._scan_over_and_over(),
                        "batch": self._batcher.run(),
                        "uplink": self._uplink.run(),
                        "files": self._write_over_and_over(),
                    }.items()
                }
                await stop.wait()
                for task in working.values():
                    task.cancel()
        finally:
            scheduler.shutdown(wait=False)
            await self._finish()
        waiting = self._spool.backlog().batches
        log.info("agent.stopped", waiting_batches=waiting, unspooled_readings=self._batcher.held_readings)

    def _remember(self) -> None:
        """Ask the machines of the last run from the first round on; the scan adds what is new."""
        for facts in self._known.load(frozenset(self._addresses)):
            if isinstance(self._driver, Auto):
                self._driver.remember(facts.address, facts.driver)
            self._poller.add(RememberedMiner(facts, self._driver))

    def _take(self, raw: RawReading) -> None:
        """One reading from the poller: note its names here, send its numbers on."""
        self._last_round_at = max(raw.time, self._last_round_at or raw.time)
        if raw.live is None:
            self._reachable.discard(raw.facts.address)
        else:
            self._reachable.add(raw.facts.address)
            self._known.seen(raw.facts)
        try:
            self._vault.remember(raw, self._keyring, self._pools)
            tells_pools = raw.live is not None and raw.live.pools is not None
            last_pools = () if tells_pools else self._vault.last_pools(self._name_of(raw.facts))
            self._batcher.add(pseudonymize(raw, self._keyring, self._pools, last_pools))
        except Exception:  # a fault in our own code that one machine brings out must not silence all the others
            log.exception("reading.lost", machine=self._name_of(raw.facts))

    def _name_of(self, facts: Facts) -> str:
        return self._keyring.pseudonym(Kind.MACHINE, identity(facts))

    async def _scan_over_and_over(self) -> None:
        while True:
            self._rescan.clear()
            try:
                await self._scan()
            except Exception:  # a driver's fault with one address must not end the polling of the others
                log.exception("scan.failed")
            gc.collect()
            gc.freeze()  # miners and libraries stay: they need not be walked over and over
            await self._rescan.wait()

    async def _scan(self) -> None:
        """Look at every address but those of machines that answer; what is found is asked from now on."""
        began, found = self._clock(), 0
        answering = self._poller.miners.keys() - self._poller.down
        looking = discover(
            self._addresses,
            self._driver,
            connections_per_s=self._settings.network.connections_per_s,
            skip=answering,
        )
        async with aclosing(looking) as miners:
            async for miner in miners:
                self._add(miner)
                found += 1
        took_s = round((self._clock() - began).total_seconds(), 1)
        log.info(
            "scan.done", found=found, known=len(self._poller.miners), addresses=len(self._addresses), took_s=took_s
        )
        if not self._poller.miners:
            log.warning("scan.found_nothing", hint="are [network] ranges right, and can this host reach them?")

    def _add(self, miner: Miner) -> None:
        before = self._poller.miners.get(miner.facts.address)
        if before is None or identity(before.facts) != identity(miner.facts):
            log.info("miner.found", machine=self._name_of(miner.facts))
        self._known.seen(miner.facts)
        self._poller.add(miner)

    async def _write_over_and_over(self) -> None:
        while True:
            await self._write_files()
            await asyncio.sleep(self._write_s)

    async def _write_files(self, *, everything: bool = False) -> None:
        """Write status, vault and machine list where they are due. Trouble is logged once, and so is its end."""
        for address in self._poller.down.intersection(self._known.gone()):  # a clock that was set makes no machine gone
            self._poller.remove(address)
        self._known.keep(self._poller.miners)
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
            machines=status.MachineCounts(
                known=len(self._poller.miners),
                reachable=len(self._reachable),
                last_round_at=self._last_round_at,
            ),
            spool=status.SpoolStatus(
                **backlog._asdict(),
                dropped_batches=counts.dropped_batches,
                dropped_readings=counts.dropped_readings + self._batcher.dropped_readings,
                quarantined=counts.quarantined,
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
                await self._uplink.drain()
        except (AgentError, TimeoutError):
            pass  # it is in the spool, and leaves after the next start
        await self._write_files(everything=True)
