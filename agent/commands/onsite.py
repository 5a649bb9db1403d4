"""`status` and `reveal`: what only somebody at the site gets to see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from agent import disclosures, vault
from agent import pause as pauses
from agent import status as statuses
from agent.commands.options import Complaint, complaining, config_option, pseudonym_of, state_of, state_option
from agent.keyring import Keyring
from agent.rotation import by_old_keys
from agent.vault import MachineName, PlainName


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@config_option
@state_option
def status(config: Path | None, state: Path | None, *, as_json: bool) -> None:
    """Say how the agent of this site does. Exit code 1 when it is not running."""
    with complaining():
        place = state_of(config, state)
        found = statuses.read(place.status)
    now = datetime.now(UTC)
    life = found.life(now)
    if life == "stopped":  # nobody told it of a pause that has begun or ended since
        found = found.model_copy(update={"paused_since": pauses.since(place.pause)})
    if as_json:
        click.echo(json.dumps({"life": life, **found.model_dump(mode="json")}, indent=1))
    else:
        for name, value in statuses.lines(found, now):
            click.echo(f"{name + ':':<10} {value}")
    if life != "running":
        raise click.exceptions.Exit(1)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@config_option
@state_option
@click.argument("pseudonym")
def reveal(pseudonym: str, config: Path | None, state: Path | None, *, as_json: bool) -> None:
    """Say what stands behind a PSEUDONYM (mnr-…, wrk-…, act-…, pol-…). Only this site can."""
    pseudonym = pseudonym_of(pseudonym)
    with complaining():
        place = state_of(config, state)
        keyring = Keyring.load(place.key)
        content = vault.read_all(place.vault, keyring)
        entry = content.entries.get(pseudonym)
        if entry is None and pseudonym not in content.forgotten:
            entry = by_old_keys(place, keyring, pseudonym, content.entries)
        disclosures.note(place.disclosures, datetime.now(UTC), "reveal", pseudonym=pseudonym)
    if entry is None:
        raise Complaint(f"{pseudonym} is not known here: it is of another site, or was never seen by this agent")
    if as_json:
        click.echo(entry.model_dump_json(exclude_none=True))
        return
    for name, value in _names(entry):
        click.echo(f"{name + ':':<10} {_printable(value)}")


def _names(entry: MachineName | PlainName) -> list[tuple[str, str]]:
    if isinstance(entry, PlainName):
        return [(entry.kind, entry.value)]
    said = [
        ("address", entry.address),
        ("mac", entry.mac),
        ("serial", entry.serial),
        ("hostname", entry.hostname),
        ("make", entry.make),
        ("model", entry.model),
        ("firmware", entry.firmware),
        ("worker", ", ".join(entry.workers)),
        ("pool", ", ".join(entry.pools)),
    ]
    return [(name, value) for name, value in said if value]


def _printable(text: str) -> str:
    """A machine's own words without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
