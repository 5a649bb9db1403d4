"""A driver whose library is brought in when it is first needed: pyasic takes 46 MB, and on a small computer seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.drivers.protocol import Driver, Miner


class Deferred:
    """Makes the driver, in a thread, when something is first looked for with it."""

    def __init__(self, name: str, make: Callable[[], Driver]) -> None:
        self.name = name
        self._make = make
        self._driver: Driver | None = None
        self._making = asyncio.Lock()

    async def find(self, address: str) -> Miner | None:
        async with self._making:
            if self._driver is None:
                self._driver = await asyncio.to_thread(self._make)
        return await self._driver.find(address)
