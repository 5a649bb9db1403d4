"""Files that are there whole or not at all, whenever the process or the power goes.

A file is written beside its place, synced, renamed into it, and the folder is synced: what a call wrote is on
disk when it returns, and a reader sees the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path
from typing import Final

from agent.errors import DiskTrouble

_DRAFT: Final = re.compile(r".+\.[0-9a-f]{8}\.tmp")


def write(path: Path, data: bytes, mode: int = 0o600, *, synced: bool = True) -> None:
    """Put `data` into `path`, over what was there. Raises `DiskTrouble`; then the old file is as it was.

    Not `synced`, the file is whole after any kill, but may be the old one, or empty, after a loss of power.
    """
    draft = _draft(path, data, mode, synced=synced)
    try:
        draft.replace(path)
        if synced:
            sync_folder(path.parent)
    except OSError as error:
        _discard(draft)
        raise trouble(error, path) from error


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """As `write`, but never over a file: raises `FileExistsError` when there is one."""
    draft = _draft(path, data, mode)
    try:
        os.link(draft, path)
        sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise trouble(error, path) from error
    finally:
        _discard(draft)


def remove(path: Path) -> None:
    """Have no such file, for good; none there is fine. Raises `DiskTrouble`."""
    try:
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise trouble(error, path) from error


def sweep(folder: Path) -> None:
    """Remove the drafts of processes that were killed; some hold keys. Raises `DiskTrouble`.

    For when nobody else writes here: a draft that is still being written goes as well, and its writer says so.
    """
    for path in folder.glob("*.tmp"):
        if _DRAFT.fullmatch(path.name):
            remove(path)


def private_folder(path: Path) -> Path:
    """Make a folder, parents included, that only its owner opens. Raises `DiskTrouble`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise trouble(error, path) from error
    return path


def sync_folder(path: Path) -> None:
    """Make renames and new names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def trouble(error: OSError, path: Path) -> DiskTrouble:
    """Say what an operating system's error means for the operator."""
    what = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "no permission to write",
        errno.EPERM: "no permission to write",
    }.get(error.errno or 0, error.strerror or type(error).__name__)
    return DiskTrouble(f"{what}: {path}")


def _draft(path: Path, data: bytes, mode: int, *, synced: bool = True) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        _discard(draft)
        raise trouble(error, path) from error
    return draft


def _discard(draft: Path) -> None:
    """A disk that is read-only does not even say that there is nothing to remove."""
    with contextlib.suppress(OSError):
        draft.unlink(missing_ok=True)
