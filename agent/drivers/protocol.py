"""What a driver is: find a machine at an address, read it, read its facts.

Drivers set no deadlines and do no retries: the caller holds `asyncio.timeout` around every call, because
the libraries' own can be minutes (pyasic on a machine that accepts and never answers: 815 to 1,601 s).
"""

from __future__ import annotations

from typing import Protocol

from agent.reading import Facts, Live


class Miner(Protocol):
    """One machine that a driver knows. Kept between polls; a machine does not switch drivers by itself."""

    @property
    def facts(self) -> Facts:
        """As last read."""

    async def read(self) -> Live:
        """Live numbers. Raises `MinerUnreachable` or `BadReply`; one failing field costs only itself."""

    async def refresh(self) -> Facts:
        """Read the static facts again and keep them. Raises as `read` does."""


class Driver(Protocol):
    """One way to talk to miners."""

    name: str

    async def find(self, address: str) -> Miner | None:
        """The machine at an address, its facts read; None when nothing that this driver knows answers."""
