"""An engine as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from backend.config import BackendSettings
from backend.store.embedded import EmbeddedStore
from backend.store.influx.engine import InfluxStore
from backend.store.influx.settings import InfluxSettings
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


def influx(settings: BackendSettings, clock: Callable[[], datetime]) -> InfluxStore:
    """An InfluxDB server, which need not be there yet."""
    return InfluxStore(influx_settings(settings), clock)


def influx_settings(settings: BackendSettings) -> InfluxSettings:
    """How to reach the server; for settings that say `engine = "influx"`."""
    store = settings.store
    assert store.url is not None, "settings of this engine are complete"
    assert store.org is not None
    assert store.token is not None
    return InfluxSettings(
        url=store.url, org=store.org, token=store.token, ca_file=store.ca_file, prefix=store.bucket_prefix
    )


STORES: Final[dict[str, Callable[[BackendSettings, Callable[[], datetime]], EmbeddedStore | InfluxStore]]] = {
    "embedded": embedded,
    "influx": influx,
}
"""By `store.engine`; each raises `BadKey` and `OSError`."""

SHARED: Final = frozenset({"influx"})
"""Engines whose data several backends share: what is done for all accounts is one backend's at a time."""
