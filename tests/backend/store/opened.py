"""The embedded store as the tests open it: its clock stands at the readings' time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from backend.store.embedded import EmbeddedStore
from tests.backend.readings import NOW

MASTER = bytes(range(32))


def opened(
    folder: Path, *, now: datetime = NOW, open_accounts: int = 32, master: bytes | None = MASTER
) -> EmbeddedStore:
    """A store in a folder, with a master key that is not in it."""
    return EmbeddedStore(folder, master=master, clock=lambda: now, open_accounts=open_accounts)
