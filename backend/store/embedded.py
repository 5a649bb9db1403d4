"""The store that needs no server: one DuckDB file an account, in `<folder>/<account>/hot.duckdb`.

The event loop never waits for a disk: all work is done by a few threads. A request that is cancelled while it
writes leaves the write to finish; the batch is then stored, and sent again it is found to be there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from agent.wire import Batch
from backend.ids import AccountId, SiteId
from backend.store.metrics import METRICS
from backend.store.openfiles import OpenFiles
from backend.store.protocol import Latest, Series, SeriesQuery

THREADS: Final = 8
"""Batches and questions that are worked on at once; DuckDB itself lets go of the interpreter meanwhile."""

T = TypeVar("T")


class EmbeddedStore:
    """A `Store` in files under a folder."""

    def __init__(self, folder: Path, *, open_accounts: int = 64, memory_mb: int = 512) -> None:
        self._folder = folder
        self._files = OpenFiles(folder, most=open_accounts, memory_mb=memory_mb)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        # One account's writers wait here, so that they do not hold the threads that others need.
        self._turns: WeakValueDictionary[AccountId, asyncio.Lock] = WeakValueDictionary()

    async def write(self, account: AccountId, batch: Batch, *, now: datetime) -> bool:
        """Store a batch; `Store.write` says what that means."""

        def work() -> bool:
            with self._files.made(account) as file:
                return file.write(batch, now=now)

        async with self._turns.setdefault(account, asyncio.Lock()):
            return await self._run(work)

    async def latest(
        self, account: AccountId, *, site: SiteId | None = None, since: datetime | None = None
    ) -> Sequence[Latest]:
        """The newest reading of each machine, ordered by machine."""

        def work() -> list[Latest]:
            with self._files.existing(account) as file:
                return [] if file is None else file.latest(site=site, since=since)

        return await self._run(work)

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer a query; `Store.series` says how."""
        if query.metric not in METRICS:
            raise KeyError(query.metric)

        def work() -> list[Series]:
            with self._files.existing(account) as file:
                return [] if file is None else file.series(query)

        return await self._run(work)

    async def check(self) -> None:
        """Raise when nothing can be written where the files are."""

        def work() -> None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".check-") as probe:
                probe.write(bytes(4096))
                probe.flush()

        await self._run(work)

    async def close(self) -> None:
        """Finish what is being worked on, then close all files. Safe to call twice."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._files.close)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
