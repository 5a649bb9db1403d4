"""`influx-token`: what the service needs of its InfluxDB server, and no more."""

from __future__ import annotations

from pathlib import Path

import click

from backend.commands.options import Failed, config_option, settings_of
from backend.store.errors import StoreUnavailable
from backend.store.influx import management
from backend.store.wiring import influx_settings


@click.command("influx-token")
@config_option
def influx_token(config: Path) -> None:
    """Print a new token that may read and write the store's buckets on InfluxDB, and do nothing else.

    Makes the buckets first. For both the token of the settings, or better ITSMINER_INFLUX_TOKEN in the environment of
    this one command, has to be one that may create buckets and tokens; the service then runs with the new one.
    """
    settings = settings_of(config)
    if settings.store.engine != "influx":
        raise Failed('the settings say no store.engine = "influx"')
    server = influx_settings(settings)
    try:
        management.prepare(server)
        click.echo(management.narrow_token(server))
    except StoreUnavailable as error:
        raise Failed(str(error)) from error
