"""The durable queue between reading and sending: one file is one batch.

Design constraints:
- What `append` took survives kill -9 and power loss: written beside its place, synced, renamed, folder synced.
- Only an acknowledgement, a quarantine or the byte cap takes a batch out. Past the cap the oldest goes, and is counted.
- What was read in the last minutes goes first, then the rest, oldest first (docs/adr: newest state, then history).
- Small batches that wait for long are joined into larger ones, which pack better; never one that was handed out,
  because the backend may have it already.
- A sequence number is used once in the life of the folder, also when the spool ran empty before a restart.
- An acknowledgement may be forgotten when the power goes: the batch is sent again with its old id, which the backend
  has stored once already.
- A damaged file stops nobody: it goes to `quarantine/`, which is bounded as well.
- One process at a time: the folder is locked.

The files hold `wire.Batch`es as compressed JSON, so nothing in them names anything of the site. Methods block on
the disk and may be called from any thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Self
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent import durable
from agent.envelope import Envelope
from agent.errors import DiskTrouble
from agent.lock import locked
from agent.packing import halves, pack, unpack
from agent.wire import Batch, ContractError

_COUNTS: Final = "counts.json"
_NAME = re.compile(r"^(\d{20})\.batch$")
_RESERVED: Final = 1_000
"""Sequence numbers reserved on disk at a time; a restart goes on after the reserved ones."""
_QUARANTINE_SHARE: Final = 0.1
_FRESH_S: Final = 120.0
"""So long a batch is news: two rounds of the usual interval, so that each machine is in it."""
_JOINED_READINGS: Final = 1_000
_MOST_JOINED: Final = 1_500
"""The contract's bound is 2,000 readings."""

log = structlog.get_logger()


class Spooled(NamedTuple):
    """A batch and its place in the queue."""

    sequence: int
    envelope: Envelope
    unsent_since: datetime | None
    """When the oldest reading was read that waits, in this batch or in another."""

    @property
    def batch(self) -> Batch:
        """The batch itself. Raises `ContractError`."""
        return self.envelope.opened()


class Counts(BaseModel):
    """What happened to batches in the life of the folder, apart from being delivered."""

    model_config = ConfigDict(frozen=True)

    reserved: int = Field(default=0, ge=0)
    dropped_batches: int = 0
    dropped_readings: int = 0
    dropped_up_to: int = 0
    quarantined: int = 0
    splitting: int | None = None  # the sequence of a batch that is being replaced by its halves
    second_half: int | None = None
    joining: tuple[int, ...] = ()  # the sequences of batches that are being joined, into the place of the first
    joined_id: UUID | None = None


class Backlog(NamedTuple):
    """What waits, for the status page."""

    batches: int
    bytes: int
    oldest_at: datetime | None


class Spool:
    """The queue in one folder. Raises `Misconfigured` when another process has it, `DiskTrouble` when it cannot be."""

    def __init__(self, folder: Path, max_bytes: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`clock_s` gives seconds that nobody sets: how long a batch has waited does not depend on the time of day."""
        self._folder = durable.private_folder(folder)
        self._quarantine = durable.private_folder(folder / "quarantine")
        self._max_bytes = max_bytes
        self._clock_s = clock_s
        self._fresh: deque[tuple[int, float]] = deque()  # sequences and when they came, in their order
        self._loose: dict[int, int] = {}  # sequences that may be joined → their readings
        self._untried: dict[int, int] = {}  # as above, still fresh
        self._withheld: set[int] = set()
        self._oldest_at: tuple[int, datetime | None] = (0, None)  # of the head of the queue that was looked into last
        self._mutex = threading.RLock()
        self._lock = locked(folder)
        try:
            for leftover in (*folder.glob("*.tmp"), *self._quarantine.glob("*.tmp")):
                leftover.unlink()
            self._counts = _read_counts(folder / _COUNTS)
            self._sizes = {int(match[1]): path.stat().st_size for path, match in _batches(folder)}
            self._queue = deque(sorted(self._sizes))
            self._bytes = sum(self._sizes.values())
            taken = [int(match[1]) for _, match in _batches(self._quarantine)]
            self._next = max([self._counts.reserved, *taken, *self._queue], default=0) + 1
            self._finish_drop()
            self._finish_split()
            self._finish_join()
        except OSError as error:
            self.close()
            raise durable.trouble(error, folder) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._lock)

    @property
    def counts(self) -> Counts:
        return self._counts

    def append(self, batch: Batch) -> int:
        """Put a batch at the end; when this returns, it is on disk. Its sequence number.

        Raises `DiskTrouble`; then the spool is as it was, and the batch is still the caller's.
        """
        with self._mutex:
            sequence = self._take_number()
            envelope = Envelope.made_of(batch)
            data = pack(envelope)
            self._make_room(len(data))
            durable.write(self._path(sequence), data)
            self._note(sequence, len(data))
            self._fresh.append((sequence, self._clock_s()))
            if envelope.can_be_joined:
                self._untried[sequence] = envelope.readings
            self._age()
            return sequence

    def next_up(self, *, totals_only: bool = False) -> Spooled | None:
        """The batch to send next, or None: the oldest that is news, else the oldest of all.

        Damaged ones on the way go to the quarantine. With `totals_only`, batches that hold readings stay where they
        are, and are not handed out.
        """
        with self._mutex:
            while (sequence := self._first(totals_only=totals_only)) is not None:
                try:
                    envelope = self._load(sequence)
                except FileNotFoundError:
                    log.warning("spool.batch_gone", sequence=sequence)
                    self._forget(sequence)
                except ContractError as error:
                    self.quarantine(sequence, f"damaged: {error}")
                else:
                    if not (totals_only and envelope.readings):
                        self._loose.pop(sequence, None)
                        self._untried.pop(sequence, None)
                        return Spooled(sequence, envelope, self._unsent_since(sequence, envelope))
                    self._withheld.add(sequence)
            return None

    @property
    def withheld_batches(self) -> int:
        """Batches that `next_up` left where they are because they hold readings."""
        with self._mutex:
            return len(self._withheld)

    def acknowledge(self, sequence: int) -> None:
        """The backend has it: take it out. Of a batch that the cap dropped meanwhile, nothing is left to do."""
        with self._mutex:
            try:
                self._path(sequence).unlink(missing_ok=True)
            except OSError as error:
                raise durable.trouble(error, self._path(sequence)) from error
            self._forget(sequence)

    def quarantine(self, sequence: int, reason: str) -> None:
        """Put a batch aside that will never be taken; kept for people to look at, within a tenth of the cap."""
        with self._mutex:
            try:
                self._path(sequence).rename(self._quarantine / self._path(sequence).name)
                self._trim_quarantine()
            except FileNotFoundError:
                pass  # the cap dropped it meanwhile
            except OSError as error:
                raise durable.trouble(error, self._quarantine) from error
            self._forget(sequence)
            log.warning("spool.quarantined", sequence=sequence, reason=reason)
            self._save(quarantined=self._counts.quarantined + 1)

    def split(self, sequence: int) -> bool:
        """Replace a batch by its two halves: the first in its place, the second at the end; False for a single reading.

        Both or neither, whenever the process dies: what is under way is written down first and finished at the next
        start, so that a whole batch and a half of it are never both in the queue. The halves' ids follow from the
        batch's id.
        """
        with self._mutex:
            try:
                batch = self._load(sequence).opened()
            except (ContractError, FileNotFoundError):
                return True  # gone or damaged since it was read: `oldest` deals with that
            if len(batch.readings) < 2:
                return False
            number = self._take_number()
            self._save(splitting=sequence, second_half=number)
            first, second = halves(batch)
            self._place(number, second)
            try:
                self._place(sequence, first)
            except DiskTrouble:
                self.acknowledge(number)
                raise
            self._save(splitting=None, second_half=None)
            return True

    def backlog(self) -> Backlog:
        """How much waits, and since when the oldest of it does."""
        with self._mutex:
            oldest_at = None
            if self._queue:
                try:
                    oldest_at = datetime.fromtimestamp(self._path(self._queue[0]).stat().st_mtime, UTC)
                except OSError:
                    oldest_at = None  # just gone
            return Backlog(len(self._queue), self._bytes, oldest_at)

    def _unsent_since(self, sequence: int, envelope: Envelope) -> datetime | None:
        """By the head of the queue, which is looked into once. A half of a batch that was too big counts when it is
        handed out."""
        head = next(one for one in self._queue if one not in self._withheld)
        if head == sequence:
            self._oldest_at = (head, envelope.oldest_at)
        elif self._oldest_at[0] != head:
            try:
                self._oldest_at = (head, self._load(head).oldest_at)
            except (ContractError, DiskTrouble, FileNotFoundError):
                self._oldest_at = (head, None)  # what it held is dealt with when its turn comes
        return min(filter(None, (self._oldest_at[1], envelope.oldest_at)), default=None)

    def _path(self, sequence: int) -> Path:
        return self._folder / f"{sequence:020}.batch"

    def _first(self, *, totals_only: bool) -> int | None:
        self._age()
        if totals_only:
            return next((one for one in self._queue if one not in self._withheld), None)
        self._withheld.clear()
        return self._fresh[0][0] if self._fresh else self._queue[0] if self._queue else None

    def _age(self) -> None:
        """What is news no more can be joined with its like."""
        now_s = self._clock_s()
        while self._fresh and (self._fresh[0][0] not in self._sizes or now_s - self._fresh[0][1] > _FRESH_S):
            sequence, _ = self._fresh.popleft()
            readings = self._untried.pop(sequence, None)
            if sequence in self._sizes and readings is not None and readings < _JOINED_READINGS:
                self._loose[sequence] = readings
                if sum(self._loose.values()) >= _JOINED_READINGS:
                    self._join()

    def _join(self) -> None:
        """Put the loose batches into the place of their first. All or nothing, whenever the process dies."""
        sequences = [one for one in self._loose if one in self._sizes]
        self._loose.clear()
        try:
            self._finish_join()  # of one that the disk broke off
            batches = [self._load(one) for one in sequences]
            if len(batches) < 2 or sum(one.readings for one in batches) > _MOST_JOINED:
                return
            whole = batches[0].joined_with(batches[1:])
            self._save(joining=tuple(sequences), joined_id=whole.id)
            self._place(sequences[0], whole, is_joined=True)
            for sequence in sequences[1:]:
                self._forget(sequence)
            self._finish_join()
        except (ContractError, FileNotFoundError, DiskTrouble):
            return  # they stay as they are, and a damaged one is dealt with when its turn comes

    def _load(self, sequence: int) -> Envelope:
        """Raises `ContractError` when it is damaged, `FileNotFoundError` when somebody removed it, `DiskTrouble`."""
        path = self._path(sequence)
        try:
            return unpack(path.read_bytes())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise durable.trouble(error, path) from error

    def _place(self, sequence: int, envelope: Envelope, *, is_joined: bool = False) -> None:
        data = pack(envelope, is_joined=is_joined)
        durable.write(self._path(sequence), data)
        self._note(sequence, len(data))

    def _note(self, sequence: int, size: int) -> None:
        if sequence not in self._sizes:
            self._queue.append(sequence)
        self._bytes += size - self._sizes.get(sequence, 0)
        self._sizes[sequence] = size

    def _forget(self, sequence: int) -> None:
        if sequence in self._sizes:
            self._bytes -= self._sizes.pop(sequence)
            self._queue.remove(sequence)
            self._withheld.discard(sequence)
            self._loose.pop(sequence, None)
            self._untried.pop(sequence, None)

    def _take_number(self) -> int:
        if self._next > self._counts.reserved:
            before = self._counts
            try:
                self._save(reserved=self._next + _RESERVED)
            except DiskTrouble:
                self._counts = before  # what is not on the disk is not reserved
                raise
        self._next += 1
        return self._next - 1

    def _make_room(self, size: int) -> None:
        while self._queue and self._bytes + size > self._max_bytes:
            sequence = self._queue[0]
            try:
                readings = self._load(sequence).readings
            except (ContractError, DiskTrouble, FileNotFoundError):
                readings = 0  # what it held cannot be said
            with contextlib.suppress(DiskTrouble):  # a full disk is no reason to keep it: the next save has the count
                self._save(
                    dropped_batches=self._counts.dropped_batches + 1,
                    dropped_readings=self._counts.dropped_readings + readings,
                    dropped_up_to=sequence,
                )
            self.acknowledge(sequence)
            log.warning("spool.full_dropped_oldest", sequence=sequence, readings=readings)

    def _trim_quarantine(self) -> None:
        kept = sorted((path for path, _ in _batches(self._quarantine)), reverse=True)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > self._max_bytes * _QUARANTINE_SHARE and path != kept[0]:
                path.unlink()

    def _finish_drop(self) -> None:
        """Remove what was counted as dropped when the process died."""
        for sequence in [one for one in self._queue if one <= self._counts.dropped_up_to]:
            self.acknowledge(sequence)

    def _finish_split(self) -> None:
        """If the second half was written, the whole gives way to the first; else the whole stays as it was."""
        whole, half = self._counts.splitting, self._counts.second_half
        if whole is None or half is None:
            return
        if whole in self._sizes and half in self._sizes:
            with contextlib.suppress(ContractError):  # a damaged one goes to the quarantine when its turn comes
                first, second = halves(self._load(whole).opened())
                if second.id == self._load(half).id:
                    self._place(whole, first)
        self._save(splitting=None, second_half=None)

    def _finish_join(self) -> None:
        """If the whole was written, its parts give way to it; else they stay as they were."""
        parts = self._counts.joining
        if not parts:
            return
        with contextlib.suppress(ContractError, FileNotFoundError):
            if self._load(parts[0]).id == self._counts.joined_id:
                for sequence in parts[1:]:
                    self.acknowledge(sequence)
        self._save(joining=(), joined_id=None)

    def _save(self, **changes: int | UUID | tuple[int, ...] | None) -> None:
        self._counts = self._counts.model_copy(update=changes)
        durable.write(self._folder / _COUNTS, self._counts.model_dump_json().encode())


def _read_counts(path: Path) -> Counts:
    try:
        return Counts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Counts()
    except ValidationError:
        log.warning("spool.counts_lost", why="counts.json is damaged; counting starts anew")
        return Counts()


def _batches(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    return [(path, match) for path in folder.iterdir() if (match := _NAME.match(path.name))]
