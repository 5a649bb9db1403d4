"""An engine as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from backend.config import BackendSettings
from backend.store.embedded import EmbeddedStore
from backend.store.keys import parsed


def embedded(settings: BackendSettings, clock: Callable[[], datetime]) -> EmbeddedStore:
    """Files in `data_dir`. Raises `BadKey` and `OSError`."""
    master = settings.store.master_key
    return EmbeddedStore(
        settings.data_dir / "accounts",
        master=None if master is None else parsed(master.get_secret_value(), of="store.master_key"),
        clock=clock,
        open_accounts=settings.store.open_accounts,
        memory_mb=settings.store.memory_mb,
    )
