"""One account's DuckDB file, and which sealed files count beside it. Synchronous; call it from a worker thread.

Guarantees: a batch is in the file entirely or not at all, at most once by its id, and survives a crash of the
process or the machine once `write` has returned (DuckDB syncs its log at commit). Any number of threads
may call; writes take turns, reads see one consistent state each. Which sealed files count is a table of the
same file: what moves rows into sealed files, or replaces those, is one transaction.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from agent.wire import Aggregate, Batch, Reading
from backend.ids import AccountId, SiteId
from backend.store import arriving, columns
from backend.store.arriving import arrived
from backend.store.columns import Kind
from backend.store.instance import Instance, quoted
from backend.store.keys import BadKey, Keys
from backend.store.protocol import DEFAULT_WINDOWS, GAP, DataClass, Latest

HOUR: Final = timedelta(hours=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A batch that waits to be stored."""

    batch: Batch
    now: datetime


@dataclass(slots=True)
class HotFile:
    """An open file; made when it is not there. One process at a time can have it open."""

    instance: Instance
    account: AccountId
    home: Path
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _users: int = 0  # reads under way, which the sealed files have to outlive
    _is_unlinking: bool = False
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _commits: int = 0
    maintaining: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever makes or removes sealed files."""

    @classmethod
    def open(cls, instance: Instance, account: AccountId, home: Path, keys: Keys) -> HotFile:
        """Open an account's file in its folder. Raises `BadKey`."""
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "sealed").mkdir(mode=0o700, exist_ok=True)
        path = home / "hot.duckdb"
        try:
            key = keys.load(home / "key", account)
        except FileNotFoundError:
            if path.exists():
                raise BadKey(f"{home / 'key'} is gone: what was stored cannot be read") from None
            key = keys.make(home / "key", account)
        instance.attach(account, path, key)
        try:
            path.chmod(0o600)
            file = cls(instance, account, home)
            file._begin()
        except BaseException:
            instance.detach(account)
            raise
        return file

    def _begin(self) -> None:
        with self.writing() as cursor:
            for table in columns.TABLES:
                cursor.execute(table)
        with self.reading() as cursor:
            (self._commits,) = one(
                cursor.execute(
                    "SELECT max(w) FROM (SELECT 0 AS w UNION ALL SELECT max(written) FROM readings"
                    " UNION ALL SELECT max(written) FROM boards UNION ALL SELECT max(written) FROM told"
                    " UNION ALL SELECT max(written) FROM touched)"
                )
            )
        self.unlink_strangers()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One consistent state to read; its sealed files stay meanwhile."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_unlinking)
            self._users += 1
        try:
            with self.instance.cursor(self.account) as cursor:
                cursor.begin()
                yield cursor
                cursor.rollback()
        finally:
            with self._turn:
                self._users -= 1
                self._turn.notify_all()

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction, durable at the end, undone by an error; others wait."""
        with self._writing, self.instance.cursor(self.account) as cursor:
            cursor.begin()
            yield cursor
            cursor.commit()  # not reached: the cursor's end rolls back

    def write(self, incoming: Sequence[Incoming]) -> list[bool]:
        """Store batches in one commit; for each False when its id is there already.

        Readings that are past the account's window already are not stored: nobody could read them.
        """
        with self.writing() as cursor:
            is_new = _are_new(cursor, incoming)
            kept_for = windows(cursor)["telemetry_raw"]
            fresh = [one for one, new in zip(incoming, is_new, strict=True) if new]
            batches = [_kept(one, kept_for) for one in fresh]
            if any(batch.readings for batch in batches):
                _insert(cursor, batches, self.next_commit())
            if totals := [(one.batch.site, total) for one in fresh for total in _told(one, kept_for)]:
                cursor.register("incoming_told", arriving.totals(totals))
                cursor.execute(f"INSERT INTO told BY NAME SELECT *, {self.next_commit()} AS written FROM incoming_told")  # noqa: S608
        return is_new

    def latest(self, *, site: SiteId | None, since: datetime) -> list[Latest]:
        """The newest reading of each machine, by machine."""
        with self.reading() as cursor:
            rows = cursor.execute(
                "SELECT site, reading FROM latest WHERE ($site IS NULL OR site = $site)"
                " AND time >= $since ORDER BY machine",
                {"site": site, "since": naive(since)},
            ).fetchall()
        return [Latest(site=SiteId(row[0]), reading=Reading.model_validate_json(row[1])) for row in rows]

    def next_commit(self) -> int:
        """The number of the transaction under way (`writing`)."""
        self._commits += 1
        return self._commits

    def settled(self) -> int:
        """The last commit: whoever begins to read after this sees all up to it; later rows have a greater `written`."""
        with self._writing:
            return self._commits

    def sealed(self, name: str) -> Path:
        """Where a sealed file is."""
        return self.home / "sealed" / name

    def unlink_strangers(self) -> None:
        """Unlink the sealed files that do not count (any more), when nobody reads them."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_unlinking)
            self._is_unlinking = True  # no new reads
            self._turn.wait_for(lambda: self._users == 0)
        try:
            with self.instance.cursor(self.account) as cursor:
                names = {row[0] for row in cursor.execute("SELECT name FROM parts").fetchall()}
            for path in (self.home / "sealed").iterdir():
                if path.name not in names:
                    path.unlink()
        finally:
            with self._turn:
                self._is_unlinking = False
                self._turn.notify_all()

    def source(
        self,
        cursor: duckdb.DuckDBPyConnection,
        kind: Kind,
        names: str,
        where: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> str:
        """SQL of the rows of a kind in one consistent state, hot and sealed; `where` has to say the times again."""
        found = cursor.execute(
            "SELECT name FROM parts WHERE kind = ? AND last >= ? AND first < ?",
            [kind, naive(since or EPOCH), naive(until or FOREVER)],
        ).fetchall()
        hot = f"SELECT {names} FROM {kind} WHERE {where}"  # noqa: S608 - of our own words only
        if not found:
            return f"({hot})"
        return f"({hot} UNION ALL SELECT {names} FROM {self.parquet(row[0] for row in found)} WHERE {where})"  # noqa: S608

    def parquet(self, names: Iterator[str]) -> str:
        """SQL that reads sealed files."""
        paths = ", ".join(f"'{quoted(self.sealed(name))}'" for name in names)
        return f"read_parquet([{paths}], encryption_config = {{footer_key: '{self.account}'}})"

    def bytes_hot(self) -> int:
        """On disk, without what is sealed."""
        return sum(path.stat().st_size for path in self.home.iterdir() if path.is_file())

    def close(self) -> None:
        """Fold the log into the file and let go of it; nobody may be using it."""
        self.instance.detach(self.account)


def windows(cursor: duckdb.DuckDBPyConnection) -> dict[DataClass, timedelta]:
    """How long each class is kept."""
    decided = dict(cursor.execute("SELECT data_class, window_us FROM windows").fetchall())
    return {
        name: timedelta(microseconds=decided[name]) if name in decided else default
        for name, default in DEFAULT_WINDOWS.items()
    }


def touch(cursor: duckdb.DuckDBPyConnection, times: Iterable[datetime], commit: int) -> None:
    """The rollups of these readings' hours do not hold any more.

    A reading also tells how long the one after it speaks for, so the hour that begins within `GAP` is touched too.
    """
    hours = {
        naive(moment.replace(minute=0, second=0, microsecond=0)) for time in times for moment in (time, time + GAP)
    }
    # Words of SQL, not parameters: for each value of those duckdb looks in vain for pandas on the disk.
    values = ", ".join(f"(TIMESTAMP '{hour}', {commit})" for hour in hours)
    cursor.execute(f"INSERT INTO touched VALUES {values} ON CONFLICT DO UPDATE SET written = excluded.written")  # noqa: S608


def naive(time: datetime) -> datetime:
    """As DuckDB's TIMESTAMP has it: UTC without saying so."""
    return time.astimezone(UTC).replace(tzinfo=None)


def aware(time: datetime | None) -> datetime | None:
    """The other way."""
    return None if time is None else time.replace(tzinfo=UTC)


def day_start(day: date) -> datetime:
    """Its first moment, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def one(answer: duckdb.DuckDBPyConnection) -> tuple[int, ...]:
    """The only row."""
    row = answer.fetchone()
    assert row is not None, "an aggregate always has a row"
    return tuple(row)


def sync_file(path: Path) -> None:
    """Make its content durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _are_new(cursor: duckdb.DuckDBPyConnection, incoming: Sequence[Incoming]) -> list[bool]:
    """Whether each batch's id was not there; it is now. Of two that come at once with the same id the first is new."""
    first = {one.batch.id: one for one in reversed(incoming)}
    values = ", ".join(f"('{id_}', TIMESTAMP '{naive(one.now)}')" for id_, one in first.items())
    rows = cursor.execute(f"INSERT INTO batches VALUES {values} ON CONFLICT DO NOTHING RETURNING id").fetchall()  # noqa: S608
    new = {row[0] for row in rows}
    return [one.batch.id in new and first[one.batch.id] is one for one in incoming]


def _kept(incoming: Incoming, window: timedelta) -> Batch:
    """The batch without what is past its window already."""
    since, batch = incoming.now - window, incoming.batch
    if all(reading.time >= since for reading in batch.readings):
        return batch
    return batch.model_copy(update={"readings": tuple(one for one in batch.readings if one.time >= since)})


def _told(incoming: Incoming, window: timedelta) -> Iterator[Aggregate]:
    """The batch's totals that are not past the window already."""
    return (total for total in incoming.batch.aggregates or () if total.time >= incoming.now - window)


def _insert(cursor: duckdb.DuckDBPyConnection, batches: Sequence[Batch], commit: int) -> None:
    new = arrived(batches)
    cursor.register("incoming_readings", new.readings)
    cursor.register("incoming_boards", new.boards)
    cursor.register("incoming_latest", new.newest)
    cursor.execute(f"INSERT INTO readings BY NAME SELECT *, {commit} AS written FROM incoming_readings")  # noqa: S608
    cursor.execute(f"INSERT INTO boards BY NAME SELECT *, {commit} AS written FROM incoming_boards")  # noqa: S608
    cursor.execute(
        "INSERT INTO latest BY NAME SELECT * FROM incoming_latest ON CONFLICT (machine) DO UPDATE"
        " SET site = excluded.site, time = excluded.time, reading = excluded.reading WHERE excluded.time > latest.time"
    )
    touch(cursor, new.times, commit)
