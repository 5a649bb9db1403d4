"""asic-rs where it knows the machine, pyasic elsewhere.

A machine stays with the driver that found it: the two disagree (one Avalon: 184 against 197 TH/s), and a series
must not jump because a page was slow. Found again at its address, it is found by the same driver; another one gets
an address only for a machine that shows by its MAC or serial number who it is.
"""

from __future__ import annotations

import asyncio
from typing import Final

from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError

_TRY_S: Final = 9.0
"""For each driver but the last: asic-rs needs up to 7 s for a machine whose web page hangs, and gives none."""


class Auto:
    """The first of several drivers that finds a machine."""

    name = "auto"

    def __init__(self, *drivers: Driver) -> None:
        self._drivers = drivers
        self._found_by: dict[str, Driver] = {}  # address → driver

    def remember(self, address: str, driver: str) -> None:
        """Which driver read the machine at an address before, as `Facts.driver` names it."""
        for candidate in self._drivers:
            if driver.split(" ")[0] in (candidate.name, f"py{candidate.name}"):
                self._found_by[address] = candidate

    async def find(self, address: str) -> Miner | None:
        before = self._found_by.get(address)
        order = sorted(self._drivers, key=lambda driver: driver is not before)
        for driver in order:
            miner = await self._try(driver, address, is_last=driver is order[-1])
            if miner is None:
                continue
            if before not in (None, driver) and miner.facts.mac is None and miner.facts.serial is None:
                return None  # most likely the machine that was there before, in a bad hour
            self._found_by[address] = driver
            return miner
        return None

    async def _try(self, driver: Driver, address: str, *, is_last: bool) -> Miner | None:
        try:
            async with asyncio.timeout(None if is_last else _TRY_S):
                return await driver.find(address)
        except (AgentError, TimeoutError):
            return None
