"""Which accounts were erased, in a file beside the database: a registry restored from a backup is told again.

A line is written, and on the disk, before anything is erased. So whoever is killed in the middle goes on, too, when the
service starts. Do not restore this file from a backup. It holds ids and times, nothing of anybody.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from backend.ids import AccountId


def write(file: Path, account: AccountId, *, now: datetime) -> None:
    """From now on the account stays erased."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="ascii") as lines:
        lines.write(f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {account}\n")
        lines.flush()
        os.fsync(lines.fileno())


def read(file: Path) -> list[AccountId]:
    """All that were erased; a line that was cut short by a crash is none."""
    if not file.exists():
        return []
    words = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    return [AccountId(each[1]) for each in words if len(each) == 2 and each[1].startswith("acc_")]
