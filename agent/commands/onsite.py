"""`status` and `reveal`: what only somebody at the site gets to see."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from agent import status as statuses
from agent import vault
from agent.commands.options import Complaint, complaining, config_option, state_of, state_option
from agent.status import Status
from agent.vault import MachineName, PlainName


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@config_option
@state_option
def status(config: Path | None, state: Path | None, *, as_json: bool) -> None:
    """Say how the agent of this site does. Exit code 1 when it is not running."""
    with complaining():
        found = statuses.read(state_of(config, state).status)
    now = datetime.now(UTC)
    life = found.life(now)
    if as_json:
        click.echo(json.dumps({"life": life, **found.model_dump(mode="json")}, indent=1))
    else:
        for name, value in _lines(found, life, now):
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
    pseudonym = pseudonym.strip().lower()
    if not re.fullmatch(r"(mnr|wrk|act|pol)-[0-9a-hjkmnp-tv-z]{16}", pseudonym):
        raise Complaint(f"{pseudonym!r} is no pseudonym; they look like mnr-0123456789abcdef")
    with complaining():
        entry = vault.read(state_of(config, state).vault).get(pseudonym)
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


def _lines(found: Status, life: str, now: datetime) -> list[tuple[str, str]]:
    spool, uplink = found.spool, found.uplink
    asked = f"last asked {_ago(found.machines.last_round_at, now)}" if found.machines.last_round_at else "not asked yet"
    lines = [
        ("agent", f"{life} (pid {found.pid}, version {found.version}, started {_ago(found.started_at, now)})"),
        ("site", f"{found.site_name or found.site} ({found.site})"),
        ("backend", found.backend),
        ("machines", f"{found.machines.known} known, {found.machines.reachable} reachable, {asked}"),
        ("uplink", _uplink(found, now)),
        (
            "sent",
            f"{uplink.acknowledged_readings} readings since the start, last {_ago(uplink.last_acknowledged_at, now)}",
        ),
        ("waiting", _waiting(found, now)),
    ]
    if spool.dropped_readings or spool.dropped_batches:
        lines.append(
            ("dropped", f"{spool.dropped_readings} readings in {spool.dropped_batches} batches: the spool was full")
        )
    if spool.quarantined:
        lines.append(("refused", f"{spool.quarantined} batches are in quarantine"))
    if spool.trouble:
        lines.append(("disk", spool.trouble))
    return lines


def _uplink(found: Status, now: datetime) -> str:
    words = {
        "idle": "everything is sent",
        "sending": "sending",
        "waiting": "waiting for the backend",
        "paused": "paused",
    }
    said = words.get(found.uplink.state, found.uplink.state)
    if not found.uplink.why:
        return said
    return f"{said} (since {_ago(found.uplink.since, now)}): {found.uplink.why}"


def _waiting(found: Status, now: datetime) -> str:
    spool = found.spool
    if not spool.batches:
        return "nothing"
    return f"{spool.batches} batches, {spool.bytes / 1e6:.1f} MB, the oldest from {_ago(spool.oldest_at, now)}"


def _ago(then: datetime | None, now: datetime) -> str:
    if then is None:
        return "never"
    seconds = max(0, round((now - then).total_seconds()))
    if seconds < 120:
        return f"{seconds} s ago"
    if seconds < 7_200:
        return f"{seconds // 60} min ago"
    if seconds < 172_800:
        return f"{seconds // 3_600} h ago"
    return f"{timedelta(seconds=seconds).days} days ago"
