"""What is done again and again while the service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

log = structlog.get_logger()


async def every(period_s: float, name: str, job: Callable[[], Awaitable[None]]) -> NoReturn:
    """Do a job now and then `period_s` after each end of it, until cancelled.

    A job that fails is tried again at its next time; the first failure is logged, and that it works again.
    """
    is_failing = False
    while True:
        try:
            await job()
        except Exception:
            if not is_failing:
                log.exception("job.failed", job=name)
            is_failing = True
        else:
            if is_failing:
                log.info("job.recovered", job=name)
            is_failing = False
        await asyncio.sleep(period_s)
