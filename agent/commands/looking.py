"""What `scan` and `preview` share: which machines are meant, what reads them, and what a terminal is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent import descriptors
from agent.config import DEFAULT_FILE, AgentSettings
from agent.discover import expand
from agent.drivers.protocol import Driver
from agent.errors import Misconfigured

_DESCRIPTORS: Final = 2_048
_WIDE: Final = 200

Result = TypeVar("Result")

engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "pyasic", "asic-rs"]),
    help="What reads the machines. [default: of the settings, else auto]",
)
passwords_option = click.option(
    "--vendor-passwords/--no-vendor-passwords",
    default=None,
    help="Whether to try the passwords that vendors ship with; without one an Antminer tells neither its MAC nor its "
    "mode. [default: of the settings; without settings, yes]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON line for each machine.")


def given(ranges: Sequence[str]) -> list[str]:
    """The addresses of ranges on the command line."""
    try:
        return expand(ranges)
    except Misconfigured as error:
        raise click.BadParameter(str(error)) from error


def driver_for(
    settings: AgentSettings,
    within: Sequence[str],
    *,
    config: Path | None,
    engine: str | None,
    vendor_passwords: bool | None,
) -> Driver:
    """What reads the machines, by the options and else by the settings, which came from the file `config`."""
    from agent.drivers import registry  # takes a second to import: not for --help

    if vendor_passwords is None:
        has_file = config is not None or DEFAULT_FILE.exists()
        vendor_passwords = settings.poll.vendor_passwords if has_file else True
    return registry.engine(
        engine or settings.poll.engine,
        credentials=settings.credentials,
        vendor_passwords=vendor_passwords,
        within=within,
    )


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run this until it is done, with room for as many connections as it may open."""
    descriptors.allow(_DESCRIPTORS)
    result: Result = uvloop.run(work)
    return result


def wide_console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut off in a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE, soft_wrap=True)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Count addresses on standard error, if somebody is looking; gives what to call after each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("Looking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("looking", total=total)
        yield lambda: progress.advance(task)


def complain(message: str) -> None:
    """One line on standard error; the command goes on."""
    click.echo(f"itsminer-agent: {message}", err=True)
