"""The spool's files: one batch each, named by its sequence number, and those that were put aside.

What is written is on the disk when a call returns. Methods block on the disk; whoever calls them takes turns.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent import durable
from agent.envelope import Envelope
from agent.packing import unpack

_NAME: Final = re.compile(r"^(\d{20})\.batch$")


class Shelf:
    """The batches in one folder, and their sizes. Raises `OSError` when it cannot be looked into."""

    def __init__(self, folder: Path, most_aside_bytes: float) -> None:
        """`most_aside_bytes` bounds what is kept of the batches put aside."""
        self._folder = durable.private_folder(folder)
        self._aside = durable.private_folder(folder / "quarantine")
        self._most_aside_bytes = most_aside_bytes
        for leftover in (*folder.glob("*.tmp"), *self._aside.glob("*.tmp")):
            leftover.unlink()
        self._sizes = {sequence: path.stat().st_size for sequence, path in _batches(folder)}
        self._bytes = sum(self._sizes.values())

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._sizes

    @property
    def total_bytes(self) -> int:
        """Of all batches that wait."""
        return self._bytes

    def sequences(self) -> list[int]:
        """Of the batches that wait, the oldest first."""
        return sorted(self._sizes)

    def highest(self) -> int:
        """The highest number in use, by batches put aside as well; 0 when there is none."""
        return max([*self._sizes, *(sequence for sequence, _ in _batches(self._aside))], default=0)

    def since(self, sequence: int) -> datetime | None:
        """When a batch was written; None when it is just gone."""
        try:
            return datetime.fromtimestamp(self._path(sequence).stat().st_mtime, UTC)
        except OSError:
            return None

    def load(self, sequence: int) -> Envelope:
        """Raises `ContractError` when it is damaged, `FileNotFoundError` when somebody removed it, `DiskTrouble`."""
        path = self._path(sequence)
        try:
            return unpack(path.read_bytes())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise durable.trouble(error, path) from error

    def put(self, sequence: int, data: bytes) -> None:
        """Write a packed batch, over one of the same number. Raises `DiskTrouble`; then all is as it was."""
        durable.write(self._path(sequence), data)
        self._bytes += len(data) - self._sizes.get(sequence, 0)
        self._sizes[sequence] = len(data)

    def remove(self, sequence: int) -> None:
        """Have no such batch; one that is gone already is fine. Raises `DiskTrouble`."""
        path = self._path(sequence)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise durable.trouble(error, path) from error
        self.drop(sequence)

    def drop(self, sequence: int) -> None:
        """Count a batch no more whose file is gone."""
        self._bytes -= self._sizes.pop(sequence, 0)

    def put_aside(self, sequence: int) -> None:
        """Keep a batch for people to look at, and let the oldest of those go past the bound. Raises `DiskTrouble`."""
        path = self._path(sequence)
        try:
            path.rename(self._aside / path.name)
            self._trim()
        except FileNotFoundError:
            pass  # the cap dropped it meanwhile
        except OSError as error:
            raise durable.trouble(error, self._aside) from error
        self.drop(sequence)

    def _trim(self) -> None:
        total = 0
        for number, (_, path) in enumerate(sorted(_batches(self._aside), reverse=True)):
            total += path.stat().st_size
            if number and total > self._most_aside_bytes:
                path.unlink()

    def _path(self, sequence: int) -> Path:
        return self._folder / f"{sequence:020}.batch"


def _batches(folder: Path) -> list[tuple[int, Path]]:
    return [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.match(path.name))]
