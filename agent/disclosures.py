"""Who looked behind pseudonyms at this site, and when: lines that are only ever added to a file that stays here."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from agent import durable


def note(path: Path, now: datetime, what: str, **details: str | int) -> None:
    """Add a line; when this returns, it is on disk. Raises `DiskTrouble`: then nothing is to be disclosed."""
    line = {"at": now.astimezone(UTC).isoformat(timespec="seconds"), "who": _who(), "what": what, **details}
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, json.dumps(line, ensure_ascii=True).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise durable.trouble(error, path) from error


def _who() -> str:
    """The user, and who became that user by sudo."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = f"user {os.getuid()}"
    before = os.environ.get("SUDO_USER")
    return f"{before} as {user}" if before else user
