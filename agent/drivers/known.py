"""A machine that was known before, and has not been found again yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.drivers.protocol import Driver, Miner
from agent.errors import MinerUnreachable
from agent.identity import canonical_mac, canonical_serial
from agent.reading import Facts, Live


class Known:
    """A `Miner` made of remembered facts: it is looked for at its address each time that it is read, and read once
    it is there. Another machine at that address is not it."""

    def __init__(self, facts: Facts, driver: Driver) -> None:
        self._remembered = facts
        self._driver = driver
        self._found: Miner | None = None

    @property
    def facts(self) -> Facts:
        if self._found is None:
            return self._remembered
        now = self._found.facts
        return replace(now, mac=now.mac or self._remembered.mac, serial=now.serial or self._remembered.serial)

    async def read(self) -> Live:
        return await (await self._find()).read()

    async def refresh(self) -> Facts:
        await (await self._find()).refresh()
        return self.facts

    async def _find(self) -> Miner:
        if self._found is None:
            miner = await self._driver.find(self._remembered.address)
            if miner is None:
                raise MinerUnreachable("not found at its last address")
            if _differ(canonical_mac, miner.facts.mac, self._remembered.mac) or _differ(
                canonical_serial, miner.facts.serial, self._remembered.serial
            ):
                raise MinerUnreachable("another machine is at its last address")
            self._found = miner
        return self._found


def _differ(canonical: Callable[[str | None], str | None], now: str | None, before: str | None) -> bool:
    """Whether both are told, and they are not the same."""
    found, known = canonical(now), canonical(before)
    return found is not None and known is not None and found != known
