"""Small files that are whole or not there, whatever happens, or gone for good. For their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def make(file: Path, content: bytes) -> bool:
    """A new file, complete when it appears; of two who make it at once the first counts. Whether it was ours."""
    draft = _draft(file, content)
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_folder(file.parent)
    return True


def replace(file: Path, content: bytes) -> None:
    """Write a file, or write it anew; a crash leaves the old or the new one."""
    _draft(file, content).replace(file)
    sync_folder(file.parent)


def destroy(file: Path) -> None:
    """Make a file unreadable, then remove it; fine when it is gone."""
    try:
        with file.open("r+b") as gone:
            gone.write(secrets.token_bytes(max(file.stat().st_size, 1)))
            gone.flush()
            os.fsync(gone.fileno())
        file.unlink()
    except FileNotFoundError:
        return
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _draft(file: Path, content: bytes) -> Path:
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        new.write(content)
        new.flush()
        os.fsync(new.fileno())
    return draft
