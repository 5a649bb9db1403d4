"""`processor`: what the people who run the service do about personal data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.commands.options import Row, config_option, json_option, show, show_all, transact
from backend.config import BackendSettings
from backend.privacy import processors
from backend.registry.privacy_tables import Processor

PROCESSOR = ("name", "host", "gets", "why", "registered_at", "ended_at", "deleted_at")


@click.group()
def processor() -> None:
    """Who handles personal data for the service: nothing is sent through anybody else."""


@processor.command("add")
@click.argument("name")
@click.option("--host", required=True, help="What messages go through: smtp.host, or the host of sms.url.")
@click.option("--gets", required=True, help="What data it gets.")
@click.option("--why", required=True, help="What for.")
@config_option
@json_option
def add_processor(name: str, host: str, gets: str, why: str, config: Path, *, as_json: bool) -> None:
    """Register a processor."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        return _row(await processors.register(session, name=name, host=host, gets=gets, why=why, now=_now()))

    show(transact(config, work), as_json=as_json)


@processor.command("end")
@click.argument("name")
@config_option
@json_option
def end_processor(name: str, config: Path, *, as_json: bool) -> None:
    """Send nothing more through a processor; it has to delete what it has."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        return _row(await processors.end(session, name, now=_now()))

    show(transact(config, work), as_json=as_json, note="It has to delete what it has: processor deleted, once it did.")


@processor.command("deleted")
@click.argument("name")
@config_option
@json_option
def processor_deleted(name: str, config: Path, *, as_json: bool) -> None:
    """Record that a former processor confirmed to have deleted everything."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        return _row(await processors.confirm_deleted(session, name, now=_now()))

    show(transact(config, work), as_json=as_json)


@processor.command("list")
@config_option
@json_option
def list_processors(config: Path, *, as_json: bool) -> None:
    """List all processors, former ones too."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [_row(one) for one in await processors.listed(session)]

    show_all(transact(config, work), PROCESSOR, as_json=as_json, none="there is no processor")


def _row(found: Processor) -> Row:
    return {name: getattr(found, name) for name in PROCESSOR}


def _now() -> datetime:
    return datetime.now(UTC)
