"""`itsminer-backend warnings`: try the rules on scenarios."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from backend import logs
from backend.warnings.rehearsal import rehearse
from backend.warnings.scenario import BadScenario, load


@click.group()
def warnings() -> None:
    """Try the rules."""


@warnings.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
def test(files: tuple[Path, ...]) -> None:
    """Play scenario files against the rules, with a clock of their own, and say what differs.

    Exit code 1 when anything does, or a file is no scenario.
    """
    logs.configure(level="error")  # what happens in a scenario is not news
    is_fine = True
    for path in files:
        try:
            differences = asyncio.run(rehearse(load(path)))
        except BadScenario as error:
            click.echo(f"itsminer-backend: {path}: {error}", err=True)
            is_fine = False
            continue
        for difference in differences:
            click.echo(f"{path}: {difference}")
        if not differences:
            click.echo(f"{path}: as expected")
        is_fine = is_fine and not differences
    sys.exit(0 if is_fine else 1)
