"""Looks for machines: when it starts, when it is asked to, and again and again while one that was there is missing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Final

import structlog

from agent.discover import discover
from agent.drivers.protocol import Driver, Miner
from agent.identity import identity
from agent.poll import Poller
from agent.reading import Facts
from agent.twins import told_apart

REST_S: Final = 300.0
_LOOK_FOR_S: Final = 1_800.0
"""So long a machine that vanished is looked for elsewhere; then it is down, and the next scan of all finds it."""

log = structlog.get_logger()


class Search:
    """Adds what it finds to the poller. Machines that answer are not disturbed; `rest_s` lies between two scans for
    machines that vanished. `see` is called with the facts of each that was found."""

    def __init__(
        self,
        poller: Poller,
        driver: Driver,
        see: Callable[[Facts], None],
        name_of: Callable[[Facts], str],
        clock: Callable[[], datetime],
        rest_s: float = REST_S,
    ) -> None:
        self._poller = poller
        self._driver = driver
        self._see = see
        self._name_of = name_of
        self._clock = clock
        self._rest_s = rest_s
        self._asked = asyncio.Event()
        self._missing: dict[str, float] = {}  # addresses → until when, by the loop's clock
        self._addresses: dict[str, None] = {}
        self._connections_per_s = 1.0

    def within(self, addresses: Iterable[str], connections_per_s: float) -> None:
        """Where to look from now on, and how gently."""
        self._addresses = dict.fromkeys(addresses)
        self._connections_per_s = connections_per_s

    def ask(self) -> None:
        """Look at everything once more, as soon as the scan that is under way is done."""
        self._asked.set()

    def vanished(self, address: str) -> None:
        """A machine that answered does not any more: it may have moved."""
        self._missing[address] = asyncio.get_running_loop().time() + _LOOK_FOR_S

    async def run(self) -> None:
        """Search until cancelled. A fault with one address ends that scan and nothing else."""
        _settle()
        while True:
            self._asked.clear()
            try:
                await self._scan()
            except Exception:  # a driver's fault with one address must not end the polling of the others
                log.exception("scan.failed")
            await self._until_due()

    async def _until_due(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._rest_s):
                    await self._asked.wait()
            except TimeoutError:
                if self._is_any_missing():
                    return
            else:
                return

    def _is_any_missing(self) -> bool:
        now_s, down = asyncio.get_running_loop().time(), self._poller.down
        self._missing = {one: until_s for one, until_s in self._missing.items() if until_s > now_s and one in down}
        return bool(self._missing)

    async def _scan(self) -> None:
        """Look at every address but those of machines that answer; what is found is asked from now on."""
        began, found = self._clock(), 0
        looking = discover(
            list(self._addresses),
            self._driver,
            connections_per_s=self._connections_per_s,
            skip=self._poller.miners.keys() - self._poller.down,
        )
        async with aclosing(looking) as miners:
            async for miner in miners:
                self._add(await told_apart(miner, self._poller, self._driver, self._name_of))
                found += 1
        if found:
            _settle()
        took_s = round((self._clock() - began).total_seconds(), 1)
        log.info(
            "scan.done", found=found, known=len(self._poller.miners), addresses=len(self._addresses), took_s=took_s
        )
        if not self._poller.miners:
            log.warning("scan.found_nothing", hint="are [network] ranges right, and can this host reach them?")

    def _add(self, miner: Miner) -> None:
        if miner.facts.address not in self._addresses:
            return  # the settings changed while it was looked for
        before = self._poller.miners.get(miner.facts.address)
        if before is None or identity(before.facts) != identity(miner.facts):
            log.info("miner.found", machine=self._name_of(miner.facts))
        self._see(miner.facts)
        self._poller.add(miner)


def _settle() -> None:
    """Miners and libraries stay: they need not be walked over and over. The walk itself stops all reads meanwhile."""
    gc.collect()
    gc.freeze()
