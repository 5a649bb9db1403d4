"""Waiting for what another thread, process or task does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], object], deadline_s: float = 20) -> None:
    """Return as soon as `true()` is; raises `TimeoutError` after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not true():  # noqa: ASYNC110 - nobody sets an event for what the disk or a process shows
            await asyncio.sleep(0.005)
