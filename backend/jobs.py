"""What is done again and again while the service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the service's jobs rest between two looks, in seconds."""

    tick_s: float = 1.0  # the rules, at what time alone decides
    sweep_s: float = 2.0  # whether it is time to remove what is past its window
    duties_s: float = 5.0  # letters, exports, and what else is due about personal data
    digests_s: float = 60.0  # whether a digest is due
    tend_s: float = 300.0  # the store's rollups and sealed days
    tidy_s: float = 3_600.0  # what is past its use


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
