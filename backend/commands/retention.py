"""`retention`: what is kept, how long, since when, how much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import duckdb
from sqlalchemy.ext.asyncio import AsyncSession

from backend.commands.options import Failed, Row, config_option, json_option, settings_of, show_all, transact
from backend.config import BackendSettings
from backend.ids import AccountId
from backend.registry import accounts
from backend.serving_lock import Busy, serving_lock
from backend.store.errors import StoreUnavailable
from backend.store.keys import BadKey
from backend.store.wiring import STORES


@click.group()
def retention() -> None:
    """How long data is kept."""


@retention.command("report")
@click.argument("account")
@config_option
@json_option
def report(account: str, config: Path, *, as_json: bool) -> None:
    """Show of each class of data how long it is kept, the oldest record and the bytes on disk.

    Reads the files themselves, so the service has to be stopped. InfluxDB does not tell the bytes of an account: 0.
    """
    settings = settings_of(config)
    settings.make_data_dir()

    async def find(session: AsyncSession, _settings: BackendSettings) -> AccountId:
        return AccountId((await accounts.find(session, account)).id)

    try:
        with serving_lock(settings.data_dir):
            rows = asyncio.run(_rows(settings, transact(config, find)))
    except Busy as error:
        raise Failed(f"{error}: stop it first") from error
    except (BadKey, OSError, duckdb.Error, StoreUnavailable) as error:
        raise Failed(f"the store cannot be read: {error}") from error
    show_all(rows, ("class", "window", "oldest", "bytes"), as_json=as_json, none="There is nothing.")


async def _rows(settings: BackendSettings, account: AccountId) -> Sequence[Row]:
    store = STORES[settings.store.engine](settings, lambda: datetime.now(UTC))
    try:
        windows, oldest, usage = await store.windows(account), await store.oldest(account), await store.usage(account)
    finally:
        await store.close()
    return [
        {
            "class": data_class,
            "window": f"{window.total_seconds() / 86_400:g} days",
            "oldest": oldest[data_class],
            "bytes": f"{usage[data_class]}",
        }
        for data_class, window in windows.items()
    ]
