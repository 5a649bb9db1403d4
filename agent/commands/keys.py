"""`rotate-key`, `forget` and `export-labels`: what the owner of a site does with its pseudonyms."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from agent import disclosures, durable, vault
from agent.commands.options import Complaint, complaining, config_option, pseudonym_of, state_of, state_option
from agent.enrolment import State
from agent.errors import Misconfigured
from agent.hostkeys import FILE, HostKeys
from agent.keyring import Keyring
from agent.known import KnownMachines
from agent.lock import alone
from agent.rotation import rotate
from agent.vault import Entry, MachineName

_COLUMNS = ("pseudonym", "kind", "label", "address", "mac", "serial", "hostname", "make", "model", "workers")


@click.command("rotate-key")
@click.option(
    "--old",
    type=click.Choice(["keep", "destroy"]),
    required=True,
    help="Keep the old key, sealed with the new one, or destroy it.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@state_option
def rotate_key(old: str, config: Path | None, state: Path | None, *, yes: bool) -> None:
    """Make a new site key: every pseudonym becomes another one. The agent must be stopped.

    To whoever looks from outside every machine is a new one, and the old ones come no more. This site can still reveal
    the old pseudonyms.
    """
    with complaining():
        place = state_of(config, state)
    if not yes:
        click.confirm(
            "All machines get new names in the dashboards, and their history stays with the old ones. Go on?",
            abort=True,
            err=True,
        )
    with complaining():
        rotate(place, _now(), keeps_old=old == "keep")
        disclosures.note(place.disclosures, _now(), "rotate-key", old=old)
    click.echo(f"{place.key} is new; keep a copy of it. The old key is {'kept' if old == 'keep' else 'destroyed'}.")


@click.command()
@config_option
@state_option
@click.argument("pseudonym")
def forget(pseudonym: str, config: Path | None, state: Path | None) -> None:
    """Forget what stands behind a PSEUDONYM, for good. The agent must be stopped.

    Its series stay with the backend, and nobody can say any more whose they are. Take a machine out of [network]
    ranges first if it is still there: it is not learnt again, but as long as it is asked its numbers still leave.
    """
    pseudonym = pseudonym_of(pseudonym)
    with complaining():
        place = state_of(config, state)
        entry = forgotten(place, pseudonym)
        disclosures.note(place.disclosures, _now(), "forget", pseudonym=pseudonym)
    click.echo(f"{pseudonym} is forgotten." if entry else f"{pseudonym} was not known here, and will not be.")


@click.command("export-labels")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@config_option
@state_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export_labels(file: Path, form: str, config: Path | None, state: Path | None) -> None:
    """Write what stands behind each pseudonym into a new FILE that only you can read, for your own dashboards.

    A machine's label is its host name, else its worker, else its address. The file names your machines: it is
    yours alone.
    """
    with complaining():
        place = state_of(config, state)
        entries = vault.read(place.vault, Keyring.load(place.key))
        if not entries:
            raise Complaint(f"there is nothing in {place.vault} yet: no machine was asked")
        rows = [_row(pseudonym, entry) for pseudonym, entry in sorted(entries.items())]
        disclosures.note(place.disclosures, _now(), "export-labels", entries=len(rows))
        _write(file, _csv(rows) if form == "csv" else json.dumps(rows, indent=1, ensure_ascii=False))
    click.echo(f"{len(rows)} labels are in {file}.")


def forgotten(place: State, pseudonym: str) -> Entry | None:
    """Take a pseudonym out of every file that could tell, whichever key made it; what stood behind it.

    Killed anywhere, it can be done again. Raises `Misconfigured` while an agent runs, and `DiskTrouble`.
    """
    with alone(place.spool):
        durable.sweep(place.folder)
        keyring = Keyring.load(place.key)
        entry = vault.read(place.vault, keyring).get(pseudonym)
        if isinstance(entry, MachineName):
            KnownMachines.forget(place.machines, keyring, entry.address)
            HostKeys(place.folder / FILE).forget_address(entry.address)
        vault.forget(place.vault, keyring, pseudonym)  # last: who is killed before it finds the address again
        return entry


def _row(pseudonym: str, entry: Entry) -> dict[str, str]:
    if not isinstance(entry, MachineName):
        return {"pseudonym": pseudonym, "kind": entry.kind, "label": entry.value}
    said = {name: getattr(entry, name) or "" for name in ("address", "mac", "serial", "hostname", "make", "model")}
    worker = entry.workers[0] if entry.workers else ""
    label = entry.hostname or worker or entry.address
    return {"pseudonym": pseudonym, "kind": "machine", "label": label, **said, "workers": " ".join(entry.workers)}


def _csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _harmless(value: str) -> str:
    """A machine's own words, which a spreadsheet must not take for a formula."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _write(file: Path, text: str) -> None:
    try:
        durable.write_new(file, text.encode())
    except FileExistsError as error:
        raise Misconfigured(f"{file} is there already; name a new file") from error


def _now() -> datetime:
    return datetime.now(UTC)
