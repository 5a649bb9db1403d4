"""Machines that say more than any machine has to say: asic-rs takes all of it into memory, and has no setting for it.

A read of such a machine is ended: asic-rs closes the connections of a read that is given up, and lets go of what they
brought. Our own questions and pyasic's end after a megabyte by themselves (`rpc`, `bounds`); whatever asic-rs takes
`flood_watch` sees. Nothing is closed from here, so no connection of the uplink, the page or SSH can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from agent import probe
from agent.errors import TooMuch

_ASK_S: Final = 2.0


class Floods:
    """The reads that are under way, and the machines that flooded when they were last read. One for all drivers."""

    def __init__(self) -> None:
        self._reads: dict[str, set[asyncio.Timeout]] = {}
        self._known: set[str] = set()

    @asynccontextmanager
    async def bounded(self, address: str) -> AsyncIterator[None]:
        """Within this, a machine may be asked by a library that takes whatever comes, while `watch` runs.

        Raises `TooMuch` when it floods. One that did so the last time is first asked within bounds: if it still does,
        the block is not entered.
        """
        if address in self._known and await probe.floods(address, _ASK_S):
            raise TooMuch
        try:
            async with asyncio.timeout(None) as limit:
                self._reads.setdefault(address, set()).add(limit)
                try:
                    yield
                finally:
                    self._reads[address].discard(limit)
                    if not self._reads[address]:
                        del self._reads[address]
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TooMuch from error
        self._known.discard(address)

    def seen(self, address: str) -> None:
        """This machine floods: end its reads."""
        self._known.add(address)
        for limit in self._reads.get(address, ()):
            if not limit.expired():
                limit.reschedule(0)
