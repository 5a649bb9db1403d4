"""`import`: an account that was exported elsewhere."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click
import duckdb

from backend.commands.options import Failed, config_option, json_option, settings_of, show
from backend.config import BackendSettings
from backend.privacy.importing import Imported, import_archive
from backend.privacy.unpacking import Archive, BadArchive
from backend.registry.errors import RegistryError
from backend.registry.sealing import NoKey
from backend.registry.wiring import registry
from backend.serving_lock import Busy, serving_lock
from backend.store.errors import StoreUnavailable
from backend.store.keys import BadKey
from backend.store.wiring import STORES


@click.command("import")
@click.argument("archive", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", help="Of the account here; by default as in the archive.")
@click.option("--verified", is_flag=True, help="You vouch for the members' contacts; nobody else is warned.")
@config_option
@json_option
def import_(archive: Path, name: str | None, config: Path, *, verified: bool, as_json: bool) -> None:
    """Take in an account that was exported (GET /v1/export), while the service is stopped.

    The account, its members and sites get new ids. Members set a new password by mail; agents enrol anew. Killed in
    the middle, run it again.
    """
    settings = settings_of(config)
    settings.make_data_dir()
    try:
        with serving_lock(settings.data_dir), Archive(archive) as found:
            made = asyncio.run(_import(settings, found, name, verified=verified))
    except Busy as error:
        raise Failed(f"{error}: stop it first") from error
    except BadArchive as error:
        raise Failed(f"{archive}: {error}") from error
    except (RegistryError, NoKey) as error:
        raise Failed(str(error)) from error
    except (BadKey, OSError, duckdb.Error, StoreUnavailable) as error:
        raise Failed(f"the store cannot be used: {error}") from error
    rows = {table: str(count) for table, count in made.rows.items() if count}
    show({"account": made.account, "name": made.name, "readings": str(made.readings)} | rows, as_json=as_json)


async def _import(settings: BackendSettings, archive: Archive, name: str | None, *, verified: bool) -> Imported:
    database = registry(settings)
    store = STORES[settings.store.engine](settings, lambda: datetime.now(UTC))
    try:
        await database.migrate()
        return await import_archive(
            database,
            store,
            archive,
            name=name,
            region=settings.region,
            verified=verified,
            now=datetime.now(UTC),
        )
    finally:
        await store.close()
        await database.close()
