"""One backend a data folder: DuckDB lets one process open a file, and keys are changed while nobody serves."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Somebody else has the folder."""


@contextmanager
def serving_lock(data_dir: Path) -> Iterator[None]:
    """Held until the block ends, or the process does. Raises `Busy`."""
    with (data_dir / "serving.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"data_dir {data_dir}: another itsminer-backend serves from it") from error
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
