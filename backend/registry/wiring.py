"""The registry that the settings name."""

from __future__ import annotations

import sqlite3

from backend.config import BackendSettings, Misconfigured
from backend.registry.database import Database


def registry(settings: BackendSettings) -> Database:
    """Not yet brought up to date. Raises `Misconfigured`."""
    try:
        return Database(settings.registry_url, keys=settings.seal_keys, accounts_dir=settings.account_keys_dir)
    except (ValueError, sqlite3.Error, OSError) as error:
        raise Misconfigured(f"registry.url: {error}") from error
