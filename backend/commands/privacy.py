"""`processor`, `policy`, `promote`, `hold`: what the people who run the service do about personal data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.commands.options import Row, config_option, json_option, show, show_all, transact
from backend.config import BackendSettings
from backend.privacy import letters, policies, processors, purposes, windows
from backend.registry import accounts
from backend.registry.account_tables import Member
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


@click.group()
def policy() -> None:
    """The privacy policy and its versions."""


@policy.command("publish")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--changes", required=True, help="What changed, in a sentence that every member gets.")
@config_option
@json_option
def publish_policy(file: Path, changes: str, config: Path, *, as_json: bool) -> None:
    """Publish a new version; all members are told what changed."""
    text = file.read_text(encoding="utf-8")

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        made = await policies.publish(session, text, changes, now=_now())
        return {"version": str(made.version), "published_at": made.published_at}

    show(transact(config, work), as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--subject", required=True)
@config_option
@json_option
def promote(file: Path, subject: str, config: Path, *, as_json: bool) -> None:
    """Send a promotional mail to those members who agreed to get some, and to nobody else."""
    text = file.read_text(encoding="utf-8")

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        count = 0
        for member in await session.scalars(select(Member)):
            if await purposes.may_use(session, member.id, purposes.MARKETING):
                letters.write(
                    session,
                    about="promotion",
                    purpose=purposes.MARKETING,
                    to=member,
                    subject=subject,
                    text=text,
                    now=_now(),
                )
                count += 1
        return {"members": str(count)}

    show(transact(config, work), as_json=as_json)


@click.group()
def hold() -> None:
    """What the law asks to keep past its window; nothing else is."""


@hold.command("add")
@click.argument("account")
@click.argument("data_class", metavar="CLASS")
@click.option("--basis", required=True, help="The law or order that asks for it.")
@click.option("--days", required=True, type=click.IntRange(1, 3650), help="When the hold ends.")
@config_option
@json_option
def add_hold(account: str, data_class: str, basis: str, days: int, config: Path, *, as_json: bool) -> None:
    """Hold a class of an account's data."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        found = await accounts.find(session, account)
        made = await windows.hold(session, found.id, data_class, basis=basis, days=days, now=_now())
        return {"id": made.id, "class": made.data_class, "ends_at": made.ends_at}

    show(transact(config, work), as_json=as_json)


@hold.command("end")
@click.argument("id")
@config_option
def end_hold(id: str, config: Path) -> None:
    """End a hold now."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> None:
        await windows.release(session, id, now=_now())

    transact(config, work)


def _row(found: Processor) -> Row:
    return {name: getattr(found, name) for name in PROCESSOR}


def _now() -> datetime:
    return datetime.now(UTC)
