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
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

import structlog

from agent import durable
from agent.envelope import Envelope
from agent.errors import DiskTrouble
from agent.lock import locked
from agent.news import News
from agent.packing import halves, pack
from agent.shelf import Shelf
from agent.tally import Counts, Tally
from agent.wire import Batch, ContractError

_QUARANTINE_SHARE: Final = 0.1
_MOST_JOINED: Final = 1_500
"""Readings in a batch made of several; the contract's bound is 2,000."""

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


class Backlog(NamedTuple):
    """What waits, for the status page."""

    batches: int
    bytes: int
    oldest_at: datetime | None


class Spool:
    """The queue in one folder. Raises `Misconfigured` when another process has it, `DiskTrouble` when it cannot be."""

    def __init__(self, folder: Path, max_bytes: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`clock_s` gives seconds that nobody sets: how long a batch has waited does not depend on the time of day."""
        self._max_bytes = max_bytes
        self._news = News(clock_s)
        self._withheld: set[int] = set()
        self._oldest_at: tuple[int, datetime | None] = (0, None)  # of the head of the queue that was looked into last
        self._mutex = threading.RLock()
        self._lock = locked(durable.private_folder(folder))
        try:
            self._shelf = Shelf(folder, max_bytes * _QUARANTINE_SHARE)
            self._queue = deque(self._shelf.sequences())
            self._tally = Tally(folder / "counts.json")
            self._tally.go_on_after(self._shelf.highest())
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
        return self._tally.counts

    def append(self, batch: Batch) -> int:
        """Put a batch at the end; when this returns, it is on disk. Its sequence number.

        Raises `DiskTrouble`; then the spool is as it was, and the batch is still the caller's.
        """
        with self._mutex:
            sequence = self._tally.take_number()
            envelope = Envelope.made_of(batch)
            data = pack(envelope)
            self._make_room(len(data))
            self._put(sequence, data)
            self._news.came(sequence, envelope.readings if envelope.can_be_joined else 0)
            self._join_what_waits()
            return sequence

    def next_up(self, *, totals_only: bool = False) -> Spooled | None:
        """The batch to send next, or None: the oldest that is news, else the oldest of all.

        Damaged ones on the way go to the quarantine. With `totals_only`, batches that hold readings stay where they
        are, and are not handed out.
        """
        with self._mutex:
            while (sequence := self._first(totals_only=totals_only)) is not None:
                try:
                    envelope = self._shelf.load(sequence)
                except FileNotFoundError:
                    log.warning("spool.batch_gone", sequence=sequence)
                    self._shelf.drop(sequence)
                    self._forget(sequence)
                except ContractError as error:
                    self.quarantine(sequence, f"damaged: {error}")
                else:
                    if not (totals_only and envelope.readings):
                        self._news.handed_out(sequence)
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
            self._shelf.remove(sequence)
            self._forget(sequence)

    def quarantine(self, sequence: int, reason: str) -> None:
        """Put a batch aside that will never be taken; kept for people to look at, within a tenth of the cap."""
        with self._mutex:
            self._shelf.put_aside(sequence)
            self._forget(sequence)
            log.warning("spool.quarantined", sequence=sequence, reason=reason)
            self._tally.save(quarantined=self.counts.quarantined + 1)

    def split(self, sequence: int) -> bool:
        """Replace a batch by its two halves: the first in its place, the second at the end; False for a single reading.

        Both or neither, whenever the process dies: what is under way is written down first and finished at the next
        start, so that a whole batch and a half of it are never both in the queue. The halves' ids follow from the
        batch's id.
        """
        with self._mutex:
            try:
                batch = self._shelf.load(sequence).opened()
            except (ContractError, FileNotFoundError):
                return True  # gone or damaged since it was read: `next_up` deals with that
            if len(batch.readings) < 2:
                return False
            number = self._tally.take_number()
            self._tally.save(splitting=sequence, second_half=number)
            first, second = halves(batch)
            self._put(number, pack(second))
            try:
                self._put(sequence, pack(first))
            except DiskTrouble:
                self.acknowledge(number)
                raise
            self._tally.save(splitting=None, second_half=None)
            return True

    def backlog(self) -> Backlog:
        """How much waits, and since when the oldest of it does."""
        with self._mutex:
            oldest_at = self._shelf.since(self._queue[0]) if self._queue else None
            return Backlog(len(self._queue), self._shelf.total_bytes, oldest_at)

    def _unsent_since(self, sequence: int, envelope: Envelope) -> datetime | None:
        """By the head of the queue, which is looked into once. A half of a batch that was too big counts when it is
        handed out."""
        head = next(one for one in self._queue if one not in self._withheld)
        if head == sequence:
            self._oldest_at = (head, envelope.oldest_at)
        elif self._oldest_at[0] != head:
            try:
                self._oldest_at = (head, self._shelf.load(head).oldest_at)
            except (ContractError, DiskTrouble, FileNotFoundError):
                self._oldest_at = (head, None)  # what it held is dealt with when its turn comes
        return min(filter(None, (self._oldest_at[1], envelope.oldest_at)), default=None)

    def _first(self, *, totals_only: bool) -> int | None:
        self._join_what_waits()
        if totals_only:
            return next((one for one in self._queue if one not in self._withheld), None)
        self._withheld.clear()
        newest = self._news.first()
        return newest if newest is not None else self._queue[0] if self._queue else None

    def _put(self, sequence: int, data: bytes) -> None:
        is_new = sequence not in self._shelf
        self._shelf.put(sequence, data)
        if is_new:
            self._queue.append(sequence)

    def _forget(self, sequence: int) -> None:
        with contextlib.suppress(ValueError):  # the cap dropped it meanwhile
            self._queue.remove(sequence)
        self._withheld.discard(sequence)
        self._news.forget(sequence)

    def _make_room(self, size: int) -> None:
        while self._queue and self._shelf.total_bytes + size > self._max_bytes:
            sequence = self._queue[0]
            try:
                readings = self._shelf.load(sequence).readings
            except (ContractError, DiskTrouble, FileNotFoundError):
                readings = 0  # what it held cannot be said
            with contextlib.suppress(DiskTrouble):  # a full disk is no reason to keep it: the next save has the count
                self._tally.save(
                    dropped_batches=self.counts.dropped_batches + 1,
                    dropped_readings=self.counts.dropped_readings + readings,
                    dropped_up_to=sequence,
                )
            self.acknowledge(sequence)
            log.warning("spool.full_dropped_oldest", sequence=sequence, readings=readings)

    def _join_what_waits(self) -> None:
        while group := self._news.to_join():
            self._join(group)

    def _join(self, sequences: list[int]) -> None:
        """Put these batches into the place of their first. All or nothing, whenever the process dies."""
        try:
            self._finish_join()  # of one that the disk broke off
            batches = [self._shelf.load(one) for one in sequences]
            if len(batches) < 2 or sum(one.readings for one in batches) > _MOST_JOINED:
                return
            whole = batches[0].joined_with(batches[1:])
            self._tally.save(joining=tuple(sequences), joined_id=whole.id)
            self._put(sequences[0], pack(whole, is_joined=True))
            for sequence in sequences[1:]:
                self._forget(sequence)  # first: a disk that does not let go of it must not have it sent twice
            self._finish_join()
        except (ContractError, FileNotFoundError, DiskTrouble):
            return  # they stay as they are, and a damaged one is dealt with when its turn comes

    def _finish_drop(self) -> None:
        """Remove what was counted as dropped when the process died."""
        for sequence in [one for one in self._queue if one <= self.counts.dropped_up_to]:
            self.acknowledge(sequence)

    def _finish_split(self) -> None:
        """If the second half was written, the whole gives way to the first; else the whole stays as it was."""
        whole, half = self.counts.splitting, self.counts.second_half
        if whole is None or half is None:
            return
        if whole in self._shelf and half in self._shelf:
            with contextlib.suppress(ContractError):  # a damaged one goes to the quarantine when its turn comes
                first, second = halves(self._shelf.load(whole).opened())
                if second.id == self._shelf.load(half).id:
                    self._put(whole, pack(first))
        self._tally.save(splitting=None, second_half=None)

    def _finish_join(self) -> None:
        """If the whole was written, its parts give way to it; else they stay as they were."""
        parts = self.counts.joining
        if not parts:
            return
        with contextlib.suppress(ContractError, FileNotFoundError):
            if self._shelf.load(parts[0]).id == self.counts.joined_id:
                for sequence in parts[1:]:
                    self.acknowledge(sequence)
        self._tally.save(joining=(), joined_id=None)
