"""Jobs go on, whatever happens in them."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from backend.jobs import every


async def test_a_job_that_fails_is_tried_again_and_logged_once() -> None:
    outcomes = iter([None, OSError("full"), OSError("full"), None, OSError("again")])
    done = asyncio.Event()

    async def job() -> None:
        outcome = next(outcomes, done)
        if outcome is done:
            done.set()
            await asyncio.Event().wait()
        if isinstance(outcome, OSError):
            raise outcome

    with capture_logs() as logged:
        running = asyncio.create_task(every(0, "tidy", job))
        async with asyncio.timeout(5):
            await done.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [event["event"] for event in logged] == ["job.failed", "job.recovered", "job.failed"]
    assert {event["job"] for event in logged} == {"tidy"}
