"""`lan-password`."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click

from agent import durable
from agent.commands.options import complaining, config_option, state_of, state_option
from agent.lan.password import Password


@click.command("lan-password")
@click.option("--generate", is_flag=True, help="Make one up and print it.")
@config_option
@state_option
def lan_password(config: Path | None, state: Path | None, *, generate: bool) -> None:
    """Set the password of the on-site page; the page opens once it has one.

    Asks for it twice, or reads one line of standard input. A running agent takes it within seconds.
    """
    password = secrets.token_urlsafe(12) if generate else _asked()
    with complaining():
        place = state_of(config, state)
        durable.private_folder(place.folder)
        Password(place.lan_password).set(password)
    if generate:
        click.echo(password)
    click.echo("The on-site page has this password now; any user name will do.", err=True)


def _asked() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Password of the on-site page", hide_input=True, confirmation_prompt=True)
        return answer
    return sys.stdin.readline().rstrip("\r\n")
