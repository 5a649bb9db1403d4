"""What the tests of sending have in common: something to tell, and a dispatcher that runs."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from backend.notify.dispatcher import Dispatcher
from backend.notify.routing import Channel
from backend.registry.notify_tables import OutboxMessage
from tests.backend.farm import Farm, idle, rounds


async def fire(north: Farm, numbers: list[int] | None = None) -> None:
    """Something critical, due at 5:30."""
    await north.judge(north.engine(), rounds(idle, numbers or [1], range(6)))


async def rows(north: Farm, channel: Channel = Channel.EMAIL) -> list[OutboxMessage]:
    return [row for row in await north.outbox() if row.channel == channel.value]


def counted(registry: CollectorRegistry, outcome: str, channel: Channel = Channel.EMAIL) -> float | None:
    return registry.get_sample_value("itsminer_messages_total", {"channel": channel.value, "outcome": outcome})


@contextlib.asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await dispatcher.close()


async def eventually(condition: Callable[[], Any], timeout_s: float = 20) -> None:
    """Look until it is so; the condition may have to be awaited."""
    async with asyncio.timeout(timeout_s):
        while not (await found if inspect.isawaitable(found := condition()) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
