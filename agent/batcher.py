"""Gathers readings into batches and puts them into the spool, without ever making a poll wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import Final
from uuid import uuid4

import structlog

from agent.errors import DiskTrouble
from agent.spool import Spool
from agent.wire import Aggregate, Batch, Reading

_MOST_KEPT: Final = 20
"""Batches held in memory while the disk takes none; past it the oldest are dropped, and counted."""

_RETRY_S: Final = 5.0

log = structlog.get_logger()


class Batcher:
    """A batch leaves for the spool when it is full, or `flush_s` after its first reading."""

    def __init__(
        self,
        spool: Spool,
        site: str,
        epoch: str,
        clock: Callable[[], datetime],
        *,
        batch_readings: int,
        flush_s: float,
        spooled: Callable[[], None],
        retry_s: float = _RETRY_S,
    ) -> None:
        """`spooled` is called after each batch that the spool took."""
        self._spool = spool
        self._site = site
        self._epoch = epoch
        self._clock = clock
        self._batch_readings = batch_readings
        self._flush_s = flush_s
        self._spooled = spooled
        self._retry_s = retry_s
        self._agent = version("itsminer")
        self._gathered: list[Reading | Aggregate] = []
        self._waiting: deque[Batch] = deque()
        self._any = asyncio.Event()
        self._full = asyncio.Event()
        self._trouble = ""
        self.dropped_readings = 0

    @property
    def trouble(self) -> str:
        """Why the disk takes nothing; empty when it does."""
        return self._trouble

    @property
    def held_readings(self) -> int:
        """Readings that are in memory only."""
        return len(self._gathered) + sum(len(batch.readings) for batch in self._waiting)

    def add(self, reading: Reading | Aggregate) -> None:
        """Take a reading, or a total in its place; it is in the spool `flush_s` later."""
        self._gathered.append(reading)
        self._any.set()
        if len(self._gathered) >= self._batch_readings:
            self._full.set()

    async def run(self) -> None:
        """Spool what is gathered, until cancelled. What is gathered then is for `flush`."""
        while True:
            await self._any.wait()
            try:
                async with asyncio.timeout(self._retry_s if self._trouble else self._flush_s):
                    await self._full.wait()
            except TimeoutError:
                pass
            await self.flush()
            if self._trouble:
                await asyncio.sleep(self._retry_s)
                self._any.set()

    async def flush(self) -> None:
        """Put everything gathered into the spool, oldest first; what the disk does not take waits for the next time."""
        self._seal()
        while self._waiting:
            batch = self._waiting[0]
            try:
                await self._append(batch)
            except DiskTrouble as error:
                self._hold(error)
                return
        if self._trouble:
            log.info("spool.recovered", dropped_readings=self.dropped_readings)
            self._trouble = ""

    async def _append(self, batch: Batch) -> None:
        """A cancellation waits for the disk, so that a batch is never both in the spool and still to be spooled."""
        appending = asyncio.ensure_future(asyncio.to_thread(self._spool.append, batch))
        try:
            await asyncio.shield(appending)
        except asyncio.CancelledError:
            await asyncio.wait([appending])
            raise
        finally:
            if appending.done() and not appending.cancelled() and appending.exception() is None:
                self._waiting.popleft()
                self._spooled()

    def _seal(self) -> None:
        """Make batches of what is gathered. Their ids are made here, once, so that a batch is the same in every try."""
        gathered, self._gathered = self._gathered, []
        self._any.clear()
        self._full.clear()
        for start in range(0, len(gathered), self._batch_readings):
            part = gathered[start : start + self._batch_readings]
            totals = tuple(one for one in part if isinstance(one, Aggregate))
            self._waiting.append(
                Batch(
                    id=uuid4(),
                    site=self._site,
                    agent=self._agent,
                    epoch=self._epoch,
                    sent_at=self._clock(),
                    readings=tuple(one for one in part if isinstance(one, Reading)),
                    aggregates=totals or None,
                )
            )

    def _hold(self, error: DiskTrouble) -> None:
        if not self._trouble:
            log.error("spool.trouble", why=str(error))
        self._trouble = str(error)
        while len(self._waiting) > _MOST_KEPT:
            self.dropped_readings += len(self._waiting.popleft().readings)
