"""What the spool counts and what it was in the middle of, on the disk: for what has to be true after any kill."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent import durable
from agent.errors import DiskTrouble

_RESERVED: Final = 1_000
"""Sequence numbers reserved on disk at a time; a restart goes on after the reserved ones."""

log = structlog.get_logger()


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


class Tally:
    """The counts in one file; a damaged one is begun anew, and that is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts = _read(path)
        self._next = self._counts.reserved + 1

    @property
    def counts(self) -> Counts:
        return self._counts

    def go_on_after(self, sequence: int) -> None:
        """Give out no number up to this one: the file of reserved ones may have been lost."""
        self._next = max(self._next, sequence + 1)

    def take_number(self) -> int:
        """A sequence number that no batch of this folder ever had. Raises `DiskTrouble`; then none is taken."""
        if self._next > self._counts.reserved:
            before = self._counts
            try:
                self.save(reserved=self._next + _RESERVED)
            except DiskTrouble:
                self._counts = before  # what is not on the disk is not reserved
                raise
        self._next += 1
        return self._next - 1

    def save(self, **changes: int | UUID | tuple[int, ...] | None) -> None:
        """Write these down. Raises `DiskTrouble`; they hold nevertheless, and the next write has them."""
        self._counts = self._counts.model_copy(update=changes)
        durable.write(self._path, self._counts.model_dump_json().encode())


def _read(path: Path) -> Counts:
    try:
        return Counts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Counts()
    except ValidationError:
        log.warning("spool.counts_lost", why=f"{path.name} is damaged; counting starts anew")
        return Counts()
