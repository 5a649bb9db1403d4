"""How many machines may be at what at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

KNOCKS: Final = 256


class Places:
    """For machines that are read, for those of them that failed before, and for those that are only knocked at."""

    def __init__(self, concurrency: int) -> None:
        self.usual = asyncio.Semaphore(concurrency)
        self.doubtful = asyncio.Semaphore(max(1, concurrency // 4))
        self.knocks = asyncio.Semaphore(KNOCKS)


class NoPlace(Exception):
    """No place became free within the turn."""


@asynccontextmanager
async def place(places: asyncio.Semaphore, until_s: float) -> AsyncIterator[None]:
    """Hold one of the places; raises `NoPlace` when none is free by then, by the loop's clock."""
    try:
        async with asyncio.timeout_at(until_s):
            await places.acquire()
    except TimeoutError as error:
        raise NoPlace from error
    try:
        yield
    finally:
        places.release()
