"""asic-rs where it knows the machine, pyasic elsewhere.

A machine stays with the driver that found it: the two disagree (one Avalon: 184 against 197 TH/s), and a series
must not jump because a page was slow. Found again at its address, it is found by the same driver if that can.
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
        self._found_by: dict[str, Driver] = {}

    def remember(self, address: str, driver: str) -> None:
        """Which driver read the machine at an address before, as `Facts.driver` named it: it goes first."""
        for candidate in self._drivers:
            if driver.split(" ")[0] in (candidate.name, f"py{candidate.name}"):
                self._found_by[address] = candidate

    async def find(self, address: str) -> Miner | None:
        before = self._found_by.get(address)
        order = sorted(self._drivers, key=lambda driver: driver is not before)
        for driver in order[:-1]:
            try:
                async with asyncio.timeout(_TRY_S):
                    miner = await driver.find(address)
            except (AgentError, TimeoutError):
                continue
            if miner is not None:
                self._found_by[address] = driver
                return miner
        miner = await order[-1].find(address)
        if miner is not None:
            self._found_by[address] = order[-1]
        return miner
