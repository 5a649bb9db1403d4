"""The store that needs no server: a folder an account, `<folder>/<account>/`, encrypted with the account's own key.

`key` is that key, wrapped by the master key; `hot.duckdb` has the newest days and everything that is not sealed;
`sealed/` has Parquet files, by kind and day. The event loop never waits for a disk: all work is done by a few
threads. A request that is cancelled while it writes leaves the write to finish; the batch is then stored, and sent
again it is found to be there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, TypeVar

from agent.wire import Batch
from backend.ids import AccountId, SiteId
from backend.store import exchange, exporting, forgetting, rollups, sealing
from backend.store.answers import Answers
from backend.store.grouping import Grouping
from backend.store.hot import HotFile, Incoming
from backend.store.hot import windows as windows_of
from backend.store.keys import Keys, made_or_loaded
from backend.store.openfiles import OpenFiles
from backend.store.protocol import (
    DEFAULT_WINDOWS,
    NO_HOLDS,
    DataClass,
    Energy,
    EnergyBy,
    Everything,
    ExportPart,
    Format,
    Hold,
    Latest,
    Removed,
    Scope,
    Series,
    SeriesQuery,
    Told,
    Total,
)

THREADS: Final = 8
"""Batches and questions that are worked on at once; DuckDB itself lets go of the interpreter meanwhile."""

T = TypeVar("T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EmbeddedStore:
    """A `Store` in files under a folder.

    Without a `master` key one is made in the folder: that is enough to erase for good, and none against who takes the
    whole disk. `clock` says what the windows are measured from when somebody reads. Raises `BadKey` and `OSError`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        master: bytes | None = None,
        clock: Callable[[], datetime] = _utc_now,
        open_accounts: int = 32,
        memory_mb: int = 512,
    ) -> None:
        self._folder = folder
        self._clock = clock
        keys = Keys(made_or_loaded(folder / "master.key") if master is None else master)
        self._files = OpenFiles(folder, keys, most=open_accounts, memory_mb=memory_mb)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        # Sealing takes long and may wait: it never holds a thread that a batch needs.
        self._tending = ThreadPoolExecutor(1, thread_name_prefix="store-tend")
        self._grouping = Grouping(self._threads, self._write)
        self._answers = Answers(self._ask, clock)

    async def write(self, account: AccountId, batch: Batch, *, now: datetime) -> bool:
        """Store a batch; `Store.write` says what that means."""
        self._files.check(account)
        return await asyncio.shield(asyncio.wrap_future(self._grouping.add(account, Incoming(batch, now))))

    async def latest(
        self, account: AccountId, *, site: SiteId | None = None, since: datetime | None = None
    ) -> Sequence[Latest]:
        """The newest reading of each machine, ordered by machine."""

        def work(file: HotFile) -> list[Latest]:
            with file.reading() as cursor:
                kept_since = self._clock() - windows_of(cursor)["telemetry_raw"]
            return file.latest(site=site, since=max(since or kept_since, kept_since))

        return await self._ask(account, work, none=list)

    async def series(self, account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        """Answer a query; `Store.series` says how."""
        return await self._answers.series(account, query)

    async def fleet(
        self,
        account: AccountId,
        *,
        metrics: Sequence[str],
        start: datetime,
        end: datetime,
        step: timedelta,
        site: SiteId | None = None,
    ) -> Sequence[Total]:
        """Totals over time; `Store.fleet` says which."""
        return await self._answers.fleet(account, metrics, start, end, step, site)

    async def told(
        self, account: AccountId, *, start: datetime, end: datetime, site: SiteId | None = None, most: int = 200_000
    ) -> Sequence[Told]:
        """What sites told in place of readings; `Store.told` says in which order."""
        return await self._answers.told(account, start, end, site, most)

    async def energy(
        self,
        account: AccountId,
        *,
        start: datetime,
        end: datetime,
        step: timedelta,
        site: SiteId | None = None,
        by: EnergyBy = "machine",
    ) -> Sequence[Energy]:
        """What machines took, kWh; `Store.energy` says how it is counted."""
        return await self._answers.energy(account, start, end, step, site, by)

    async def tend(self, *, now: datetime) -> None:
        """Work out rollups of hours that are over, seal days that are over."""
        for account in await self._run(self._files.accounts):
            await asyncio.get_running_loop().run_in_executor(self._tending, self._tend, account, now)

    async def oldest(self, account: AccountId) -> Mapping[DataClass, datetime | None]:
        """The oldest record on disk, by class."""
        return await self._ask(account, forgetting.oldest, none=lambda: dict.fromkeys(DEFAULT_WINDOWS))

    async def windows(self, account: AccountId) -> Mapping[DataClass, timedelta]:
        """How long each class is kept."""

        def work(file: HotFile) -> Mapping[DataClass, timedelta]:
            with file.reading() as cursor:
                return windows_of(cursor)

        return await self._ask(account, work, none=lambda: DEFAULT_WINDOWS)

    async def set_window(self, account: AccountId, data_class: DataClass, window: timedelta) -> None:
        """Keep a class this long from now on."""
        if window < timedelta(0):
            raise ValueError("a window is not negative")

        def work() -> None:
            with self._files.made(account) as file:
                forgetting.set_window(file, data_class, window)

        await self._run(work)

    async def sweep(
        self, account: AccountId, *, now: datetime, holds: Mapping[DataClass, Hold] = NO_HOLDS
    ) -> Sequence[Removed]:
        """Remove what is past its window and not held."""

        def work(file: HotFile) -> list[Removed]:
            with file.maintaining:
                return forgetting.sweep(file, now=now, holds=holds)

        return await self._ask(account, work, none=list)

    async def erase(self, account: AccountId, scope: Scope) -> Sequence[Removed]:
        """Remove what is in scope; of everything, the account's key first."""
        if isinstance(scope, Everything):
            return await self._run(lambda: self._erase_all(account))
        part = scope

        def work(file: HotFile) -> list[Removed]:
            with file.maintaining:
                return forgetting.erase(file, part)

        return await self._ask(account, work, none=list)

    async def export(
        self,
        account: AccountId,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        format: Format = "parquet",
    ) -> AsyncIterator[ExportPart]:
        """Every reading that can be read, a file a day."""
        now = self._clock()
        of_readings, of_totals = await self._ask(
            account,
            lambda file: tuple(exporting.days(file, kind, start, end, now=now) for kind in ("readings", "told")),
            none=lambda: ([], []),
        )
        for day in of_readings:
            yield ExportPart(f"readings-{day}.{format}", self._day(account, day, start, end, format, now))
        for day in of_totals:
            yield exchange.totals_part(
                day, start, end, format, lambda since, until: self.told(account, start=since, end=until)
            )

    async def import_(self, account: AccountId, parts: Iterable[tuple[str, bytes]]) -> int:
        """Store files of an export."""
        found = 0
        for part in parts:
            for batch in await self._run(partial(exchange.batches_of, *part)):
                if await self.write(account, batch, now=self._clock()):
                    found += exchange.batch_count(batch)
        return found

    async def usage(self, account: AccountId) -> Mapping[DataClass, int]:
        """Bytes on disk, by class."""
        return await self._ask(account, forgetting.usage, none=lambda: dict.fromkeys(DEFAULT_WINDOWS, 0))

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
        await asyncio.to_thread(self._tending.shutdown)
        await asyncio.to_thread(self._grouping.close)
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._files.close)

    @contextmanager
    def file(self, account: AccountId) -> Iterator[HotFile]:
        """An account's file, for threads that measure or make what no `Store` has."""
        with self._files.made(account) as file:
            yield file

    async def _day(
        self,
        account: AccountId,
        day: date,
        start: datetime | None,
        end: datetime | None,
        format: Format,
        now: datetime,
    ) -> AsyncIterator[bytes]:
        made = exchange.File(exchange.readings(format), format)

        def add(span: tuple[datetime, datetime], file: HotFile) -> bytes:
            return made.add(exporting.table(file, *span, format, now=now))

        for span in exchange.hours(day, start, end):
            if chunk := await self._ask(account, partial(add, span), none=bytes):
                yield chunk
        yield await self._run(made.end)

    def _write(self, account: AccountId, incoming: Sequence[Incoming]) -> list[bool]:
        with self._files.made(account) as file:
            return file.write(incoming)

    def _tend(self, account: AccountId, now: datetime) -> None:
        with self._files.existing(account) as file:
            if file is not None:
                rollups.roll(file, now=now)
                for day in sealing.due(file, now=now):
                    with file.maintaining:
                        sealing.seal(file, day)

    def _erase_all(self, account: AccountId) -> list[Removed]:
        with self._files.existing(account) as file:
            if file is None:
                self._files.remove(account)  # what a backup brought back without its key
                return []
            used, oldest = forgetting.usage(file), forgetting.oldest(file)
            rows = forgetting.rows(file)
        self._files.remove(account)
        return [Removed(name, oldest[name], None, rows[name], used[name]) for name in DEFAULT_WINDOWS]

    async def _ask(self, account: AccountId, work: Callable[[HotFile], T], *, none: Callable[[], T]) -> T:
        """Work on an account's file in a thread; without a file it is `none`."""

        def asked() -> T:
            with self._files.existing(account) as file:
                return none() if file is None else work(file)

        return await self._run(asked)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
