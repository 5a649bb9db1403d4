"""A process that writes numbered batches until it is killed; `multiprocessing` starts it by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import UUID

from agent.wire import Batch
from backend.ids import AccountId
from tests.backend.readings import NOW, at, batch, reading
from tests.backend.store.opened import opened

ACCOUNT = AccountId("acc_crash")
MACHINES = 5
AHEAD = 5
AFTERWARDS = NOW + timedelta(days=1000)


def numbered(number: int) -> Batch:
    """Batch `number`: one reading of each machine, at that minute."""
    readings = (reading(index, at(number), hashrate_ths=1.0) for index in range(MACHINES))
    return batch(readings, id=UUID(int=number + 1))


def write_until_killed(folder: Path, first: int, told: Connection, *, seals: bool) -> None:
    """Write from batch `first` on, `AHEAD` at once, and tell the number of each that is stored.

    With `seals` every day counts as over, and is sealed and made one file again and again meanwhile.
    """
    asyncio.run(_write(folder, first, told, seals))


async def _write(folder: Path, first: int, told: Connection, seals: bool) -> None:
    store = opened(folder)
    numbers = iter(range(first, first + 100_000))

    async def one_after_the_other(numbers: Iterator[int]) -> None:
        for number in numbers:
            stored = await store.write(ACCOUNT, numbered(number), now=NOW)
            told.send((number, stored))

    async def sealing() -> None:
        while True:
            await store.tend(now=AFTERWARDS)

    async with asyncio.TaskGroup() as tasks:
        if seals:
            tasks.create_task(sealing())
        for _ in range(AHEAD):
            tasks.create_task(one_after_the_other(numbers))
