"""How many machines may be at what at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from agent import descriptors

_KNOCKS: Final = 256
_KNOCK_CONNECTIONS: Final = 3
_READ_CONNECTIONS: Final = 10
"""asic-rs uses up to 8 for one Antminer, our own read one, a login one."""
_KEPT_CONNECTIONS: Final = 5_000
"""Those that asic-rs opened in the last seconds, and would keep. Asked for on top, for a large farm; a system that
allows less is enough for a smaller one."""
_OTHER_FILES: Final = 256

log = structlog.get_logger()


def affordable(concurrency: int) -> int:
    """How many of so many machines can be read at a time with the files that the system allows us."""
    overhead = _KNOCKS * _KNOCK_CONNECTIONS + _OTHER_FILES
    allowed = descriptors.allow(concurrency * _READ_CONNECTIONS + overhead + _KEPT_CONNECTIONS)
    affords = max(1, min(concurrency, (allowed - overhead) // _READ_CONNECTIONS))
    if affords < concurrency:
        log.warning("poll.few_descriptors", allowed=allowed, concurrency=affords, wanted=concurrency)
    return affords


class Places:
    """For machines that are read, for those of them that failed before, and for those that are only knocked at."""

    def __init__(self, concurrency: int) -> None:
        self.usual = asyncio.Semaphore(concurrency)
        self.doubtful = asyncio.Semaphore(max(1, concurrency // 4))
        self.knocks = asyncio.Semaphore(_KNOCKS)


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
