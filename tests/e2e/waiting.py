"""Waiting for what should come about: asks again and again until a deadline, and says what it saw last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]], enough: Callable[[T], bool], deadline_s: float = 40) -> T:
    """What `look` gives once it is `enough`; fails with what it gave last."""
    seen = await look()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            while not enough(seen):
                await asyncio.sleep(0.1)
                seen = await look()
    assert enough(seen), f"not within {deadline_s} s; last seen: {seen!r:.2000}"
    return seen
