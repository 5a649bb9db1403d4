"""One way to talk to miners with several logins for a make: they are tried in their order, and what worked is kept."""

from __future__ import annotations

from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError


class InOrder:
    """The same driver several times, each with other logins.

    A login that is refused shows in that a machine does not tell its MAC; then the next one is tried. The machine that
    the first of them found is taken when none does better.
    """

    def __init__(self, *drivers: Driver) -> None:
        self.name = drivers[0].name
        self._drivers = drivers
        self._worked: dict[str, Driver] = {}  # address → driver

    async def find(self, address: str) -> Miner | None:
        before = self._worked.get(address)
        first: Miner | None = None
        for driver in sorted(self._drivers, key=lambda driver: driver is not before):
            try:
                miner = await driver.find(address)
            except AgentError:
                continue
            if miner is not None and miner.facts.mac is not None:
                self._worked[address] = driver
                return miner
            first = first or miner
        return first
