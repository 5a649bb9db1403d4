"""Options that several commands share, and how they find the agent's settings and state and say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from agent.config import DEFAULT_FILE, AgentSettings, load
from agent.enrolment import State
from agent.errors import AgentError

F = TypeVar("F", bound=Callable[..., Any])


class Complaint(click.ClickException):
    """One clear line on standard error, exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"itsminer-agent: {self.format_message()}", file=file, err=file is None)


@contextmanager
def complaining() -> Iterator[None]:
    """Turn what the agent raises on purpose into a `Complaint`."""
    try:
        yield
    except AgentError as error:
        raise Complaint(str(error)) from error
    except PermissionError as error:
        raise Complaint(f"no permission for {error.filename}; run this as the user that the agent runs as") from error


def config_option(command: F) -> F:
    """`--config FILE`."""
    return click.option(
        "--config",
        "config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="ITSMINER_AGENT_CONFIG",
        metavar="FILE",
        help=f"The agent's settings. [env: ITSMINER_AGENT_CONFIG; default: {DEFAULT_FILE} if it is there]",
    )(command)


def state_option(command: F) -> F:
    """`--state DIR`."""
    return click.option(
        "--state",
        "state",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The agent's state folder, where it is not the one of the settings.",
    )(command)


def settings_of(config: Path | None) -> AgentSettings:
    """The settings of `--config`, else of the default file, else the defaults. Raises `Misconfigured`."""
    if config is None and DEFAULT_FILE.exists():
        config = DEFAULT_FILE
    return load(config) if config else AgentSettings()


def pseudonym_of(text: str) -> str:
    """A pseudonym as somebody typed it. Raises `Complaint` for what is none."""
    pseudonym = text.strip().lower()
    if not re.fullmatch(r"(mnr|wrk|act|pol)-[0-9a-hjkmnp-tv-z]{16}", pseudonym):
        raise Complaint(f"{pseudonym!r} is no pseudonym; they look like mnr-0123456789abcdef")
    return pseudonym


def state_of(config: Path | None, state: Path | None) -> State:
    """The state folder of `--state`, else of the settings."""
    return State(state.absolute() if state else settings_of(config).state_dir)
