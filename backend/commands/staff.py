"""`staff`: who works for the service. `seal`: the keys of contacts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import staff as people
from backend.accounts.rights import STAFF_ROLES
from backend.accounts.rotation import rotate as rotate_keys
from backend.commands.options import Failed, Row, config_option, json_option, settings_of, show, show_all, transact
from backend.config import BackendSettings
from backend.registry.sealing import NoKey
from backend.serving_lock import Busy, serving_lock


@click.group()
def staff() -> None:
    """People who work for the service."""


@staff.command("add")
@click.option("--email", required=True, help="Theirs; no other log-in may have it.")
@click.option("--role", type=click.Choice(STAFF_ROLES), required=True, help="admin and support may see personal data.")
@config_option
@json_option
def add_staff(email: str, role: str, config: Path, *, as_json: bool) -> None:
    """Add somebody, and print the token by which they set a password within an hour."""

    async def work(session: AsyncSession, settings: BackendSettings) -> tuple[Row, str]:
        most = settings.staff.with_personal_data
        added, token = await people.add(session, email=email, role=role, most=most, now=_now())
        url = settings.public_url or f"http://{settings.listen.host}:{settings.listen.port}"
        return {"id": added.id, "role": added.role, "token": token}, f"They go to: {url}/confirm#password={token}"

    row, note = transact(config, work)
    show(row, as_json=as_json, note=note)


@staff.command("list")
@config_option
@json_option
def list_staff(config: Path, *, as_json: bool) -> None:
    """List them, former ones too."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {
                "id": one.id,
                "role": one.role,
                "email": one.email,
                "created_at": one.created_at,
                "ended_at": one.ended_at,
            }
            for one in await people.listed(session)
        ]

    columns = ("id", "role", "email", "ended_at")
    show_all(transact(config, work), columns, as_json=as_json, none="Nobody works here yet.")


@staff.command("end")
@click.argument("email", metavar="EMAIL")
@config_option
@json_option
def end_staff(email: str, config: Path, *, as_json: bool) -> None:
    """EMAIL works here no more: log-in, sessions and grants end at once."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        ended = await people.end(session, email, now=_now())
        return {"id": ended.id, "ended_at": ended.ended_at}

    show(transact(config, work), as_json=as_json)


@click.group()
def seal() -> None:
    """The keys that contacts are sealed with."""


@seal.command("rotate")
@config_option
@json_option
def rotate(config: Path, *, as_json: bool) -> None:
    """Seal everything with a new key and forget the old one, while the service is stopped.

    Each account's own keys are replaced, too. Keep no copies of the old ones: older backups can be read with both.
    """
    settings = settings_of(config)
    settings.make_data_dir()
    if settings.seal.keys is not None:
        raise Failed("the keys come from ITSMINER_SEAL_KEYS: put them into a file (seal.keys_file) to rotate them")
    file = settings.seal.keys_file
    if file is None and settings.registry.url is not None:
        raise Failed("set seal.keys_file first")
    try:
        with serving_lock(settings.data_dir):
            transact(config, _nothing)  # tables are brought up to date first, as by any command
            url, beside = settings.registry_url, settings.data_dir.absolute() / "registry.db.keys"
            newest, rows = asyncio.run(rotate_keys(url, file or beside, settings.account_keys_dir))
    except Busy as error:
        raise Failed(f"{error}: stop it first") from error
    except NoKey as error:
        raise Failed(str(error)) from error
    show({"key": str(newest), "rows": str(rows)}, as_json=as_json)


async def _nothing(_session: AsyncSession, _settings: BackendSettings) -> None:
    return None


def _now() -> datetime:
    return datetime.now(UTC)
