"""`serve`: run the service."""

from __future__ import annotations

from pathlib import Path

import click

from backend import logs
from backend.app import run
from backend.commands.options import Failed, config_option, settings_of
from backend.config import Misconfigured


@click.command()
@config_option
def serve(config: Path) -> None:
    """Run the service until SIGTERM or SIGINT; it logs to standard error."""
    settings = settings_of(config)
    logs.configure(settings.log.format, settings.log.level)
    try:
        run(settings)
    except Misconfigured as error:
        raise Failed(f"{config}: {error}") from error
