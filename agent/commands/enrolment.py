"""`enroll`: make this site known to a backend."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from agent.commands.options import complaining, config_option, settings_of, state_of, state_option
from agent.enrolment import enroll as trade


@click.command()
@click.option("--backend", "url", required=True, metavar="URL", help="The backend, as https://…")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The authority that signed the backend's certificate, if it is not a public one. [default: of the settings]",
)
@click.option("--again", is_flag=True, help="Enrol a site anew that is enrolled; its key is kept.")
@config_option
@state_option
@click.argument("code")
def enroll(url: str, ca_file: Path | None, code: str, config: Path | None, state: Path | None, *, again: bool) -> None:
    """Trade the one-time CODE that the backend gave for this site's token.

    Makes the site's key as well, which never leaves this machine: keep a copy of it. CODE may be - to read it from
    standard input.
    """
    with complaining():
        settings = settings_of(config)
        place = state_of(config, state)
        secret = sys.stdin.readline() if code == "-" else code
        enrolment = asyncio.run(trade(place, url, secret, ca_file or settings.backend.ca_file, again=again))
    click.echo(f"Enrolled as {enrolment.site_name or enrolment.site} ({enrolment.site}) at {enrolment.url}.")
    click.echo(f"Keep a copy of {place.key}: without it no pseudonym can be turned back into a machine.")
    if ca_file and ca_file != settings.backend.ca_file:
        click.echo(f'Name the authority in the settings as well: [backend] ca_file = "{ca_file.absolute()}"')
    run = f"itsminer-agent run --config {config}" if config else "itsminer-agent run --config FILE"
    click.echo(f"Next: {run}")
