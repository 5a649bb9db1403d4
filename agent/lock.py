"""One process at a time works in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import durable
from agent.errors import Misconfigured


def locked(folder: Path) -> int:
    """A handle that holds the folder until it is closed. Raises `Misconfigured` when another process has it."""
    try:
        handle = os.open(folder / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise durable.trouble(error, folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Misconfigured(f"another itsminer-agent is running with {folder}; stop it first") from error
    return handle


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Within the block no other process is in one of this folder; waits for its turn. Raises `DiskTrouble`."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise durable.trouble(error, folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within the block no agent runs with this folder, and none starts. Raises `Misconfigured` when one does."""
    handle = locked(durable.private_folder(folder))
    try:
        yield
    finally:
        os.close(handle)
