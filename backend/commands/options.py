"""What the commands share: the settings they find, how they fail, how they print."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.config import BackendSettings, Misconfigured
from backend.config_file import load
from backend.privacy import audit
from backend.registry.errors import RegistryError
from backend.registry.sealing import NoKey
from backend.registry.wiring import registry

DEFAULT_FILE: Final = Path("/etc/itsminer/backend.toml")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, str | float | datetime | None]


class Failed(click.ClickException):
    """The command did not do it; one clear line says what to change."""

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"itsminer-backend: {line}", file=file, err=file is None)


def config_option(command: F) -> F:
    """`--config FILE`."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="ITSMINER_BACKEND_CONFIG",
        show_envvar=True,
        default=DEFAULT_FILE,
        show_default=True,
        metavar="FILE",
        help="The backend's settings.",
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def settings_of(config: Path) -> BackendSettings:
    """Load the settings. Raises `Failed`."""
    try:
        return load(config)
    except Misconfigured as error:
        raise Failed(str(error)) from error


def transact(config: Path, work: Callable[[AsyncSession, BackendSettings], Awaitable[T]]) -> T:
    """Do it in one transaction of the registry, whose tables are brought up to date first; the audit log says so.

    Raises `Failed`.
    """
    settings = settings_of(config)

    async def run() -> T:
        settings.make_data_dir()
        database = registry(settings)
        try:
            await database.migrate()
            async with database.begin() as session:
                done = await work(session, settings)
                command = click.get_current_context().command_path.partition(" ")[2]
                await audit.record(session, actor="command", action=command, now=datetime.now(UTC))
                return done
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (RegistryError, Misconfigured, NoKey) as error:
        raise Failed(str(error)) from error
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise Failed(f"the registry cannot be used: {getattr(error, 'orig', None) or error}") from error


def show(row: Row, *, as_json: bool, note: str = "") -> None:
    """Print one thing; `note` is for people only."""
    if as_json:
        click.echo(json.dumps(row, default=_plain))
        return
    width = max(map(len, row))
    for name, value in row.items():
        if value is not None:
            click.echo(f"{name:<{width}}  {_plain(value)}")
    if note:
        click.echo(note)


def show_all(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, none: str) -> None:
    """Print many things as a table; `none` is said when there are none."""
    if as_json:
        click.echo(json.dumps(rows, default=_plain))
    elif not rows:
        click.echo(none)
    else:
        from rich.console import Console  # not of every command: it brings many modules in
        from rich.table import Table

        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*("" if row[name] is None else _plain(row[name]) for name in columns))
        Console(highlight=False, markup=False, width=500).print(table)  # whole ids, however narrow the window


def _plain(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
