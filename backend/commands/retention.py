"""`retention`: what is kept, how long, since when, how much."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click
import duckdb
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.api import retention as api
from backend.commands.options import Failed, config_option, json_option, settings_of, show_all, transact
from backend.config import BackendSettings
from backend.ids import AccountId
from backend.operator_socket import NotAnswered, ask
from backend.privacy import keeping
from backend.registry import accounts
from backend.registry.wiring import registry
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

    A running service is asked; without one the files are read. InfluxDB does not tell the bytes of an account: 0.
    """
    settings = settings_of(config)
    settings.make_data_dir()

    async def find(session: AsyncSession, _settings: BackendSettings) -> AccountId:
        return AccountId((await accounts.find(session, account)).id)

    found = transact(config, find)
    try:
        with serving_lock(settings.data_dir):
            told = asyncio.run(_read(settings, found))
    except Busy:
        try:
            told = api.RetentionReply.model_validate(asyncio.run(ask(settings.data_dir, "retention", found)))
        except NotAnswered as error:
            raise Failed(str(error)) from error
    except (BadKey, OSError, duckdb.Error, SQLAlchemyError, StoreUnavailable) as error:
        raise Failed(f"the store cannot be read: {error}") from error
    rows = [
        {
            "class": one.data_class,
            "window_days": one.window_days,
            "oldest": one.oldest,
            "bytes": one.bytes,
        }
        for one in told.classes
    ]
    show_all(rows, ("class", "window_days", "oldest", "bytes"), as_json=as_json, none="There is nothing.")


async def _read(settings: BackendSettings, account: AccountId) -> api.RetentionReply:
    database = registry(settings)
    store = STORES[settings.store.engine](settings, lambda: datetime.now(UTC))
    try:
        return api.reply(await keeping.report(database, store, account))
    finally:
        await store.close()
        await database.close()
