"""`support-bundle`: show what support would get to see of a machine, and send that if the operator says so."""

from __future__ import annotations

import contextlib
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import click
import uvloop

from agent import disclosures, durable, enrolment, known, logs, support, vault
from agent.commands.options import Complaint, complaining, config_option, settings_of, state_of, state_option
from agent.config import AgentSettings
from agent.enrolment import Enrolment, State
from agent.errors import AgentError, Misconfigured
from agent.evidence import Desk, address_of, look_into
from agent.hostkeys import FILE, Door, HostKeys
from agent.keyring import Keyring, Kind
from agent.support import Bundle, Receipt, compose


@click.command("support-bundle")
@click.argument("where", metavar="ADDRESS")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep the text in a new FILE."
)
@click.option("--yes", is_flag=True, help="Send without asking. The text is shown all the same.")
@click.option("--no-ssh", is_flag=True, help="Do not log in to the machine: no logs.")
@click.option(
    "--new-host-key", is_flag=True, help="Trust the SSH host key that the machine shows now in place of the known one."
)
@config_option
@state_option
def support_bundle(
    where: str,
    *,
    save: Path | None,
    yes: bool,
    no_ssh: bool,
    new_host_key: bool,
    config: Path | None,
    state: Path | None,
) -> None:
    """Collect what support needs to know of the machine at ADDRESS: facts, a reading, its logs over SSH.

    ADDRESS may also be a machine's pseudonym (mnr-…). The whole text is shown first, with every name of the site
    replaced by its pseudonym, and it is sent only after a yes. Without a terminal nothing is sent, unless with --yes.
    """
    logs.configure(level="warning")
    with complaining():
        if save and save.exists():
            raise Misconfigured(f"{save} is there already; name a new file")
        settings, place = settings_of(config), state_of(config, state)
        enrolled = _enrolment(settings, place)
        text = _text(where, settings, place, new_host_key=new_host_key, over_ssh=not no_ssh)
        click.echo(text, nl=False)
        if save:
            _save(save, text)
        if _may_send(text, enrolled, yes=yes):
            assert enrolled is not None
            disclosures.note(place.disclosures, _now(), "support-bundle sent", characters=len(text))
            _tell(_send(text, enrolled, settings, save))


def _enrolment(settings: AgentSettings, place: State) -> Enrolment | None:
    """Where the bundle could go; None when this site is not enrolled."""
    if not place.enrolment.exists():
        return None
    return enrolment.load(place, settings.backend.url)


def _text(where: str, settings: AgentSettings, place: State, *, new_host_key: bool, over_ssh: bool) -> str:
    from agent.drivers.registry import engine  # takes a second to import: not for --help

    keyring = Keyring.load(place.key) if place.key.exists() else Keyring.throwaway()
    entries = vault.read(place.vault, keyring)
    address = address_of(where, settings, entries)
    if place.folder.is_dir():
        disclosures.note(place.disclosures, _now(), "support-bundle", machine=_asked_for(where))
    host_keys = HostKeys(place.folder / FILE)
    if new_host_key:
        for port in {22, *(one.port for one in settings.ssh)}:
            host_keys.forget(Door(address, port))
    poll = settings.poll
    desk = Desk(
        settings=settings,
        keyring=keyring,
        vault=entries,
        listed=known.remembered(place.machines, keyring),
        driver=engine(
            poll.engine,
            credentials=settings.credentials,
            vendor_passwords=poll.vendor_passwords,
            within=[address],
        ),
        host_keys=host_keys,
        clock=_now,
        say=_say,
    )
    findings, redactor = uvloop.run(look_into(address, desk, over_ssh=over_ssh))
    return compose(findings, redactor, _now())


def _asked_for(where: str) -> str:
    """The log names no address either."""
    pseudonym = where.strip().lower()
    return pseudonym if pseudonym.startswith(f"{Kind.MACHINE}-") else "by its address"


def _may_send(text: str, enrolled: Enrolment | None, *, yes: bool) -> bool:
    """Whether the operator wants exactly this text, which stands above, to be sent."""
    if enrolled is None:
        _say("Nothing was sent: this site is not enrolled.")
        return False
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        _say("Nothing was sent: there is no terminal to show the text and to ask at. --yes sends without asking.")
        return False
    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # an answer counts only if it was typed after the question
    question = f"Send the text above ({len(text):,} characters) to {enrolled.url}?"
    if click.confirm(question, default=False, err=True):
        return True
    _say("Nothing was sent.")
    return False


def _send(text: str, enrolled: Enrolment, settings: AgentSettings, save: Path | None) -> Receipt:
    bundle = Bundle(id=uuid4(), site=enrolled.site, created_at=_now(), text=text)
    try:
        receipt: Receipt = uvloop.run(support.send(bundle, enrolled, settings.backend.ca_file))
    except AgentError as error:
        kept = f"the text is in {save}" if save else "run it again with --save FILE to keep the text"
        raise Complaint(f"the bundle was not sent: {error}; {kept}") from error
    return receipt


def _tell(receipt: Receipt) -> None:
    until = f" It is kept until {receipt.kept_until:%Y-%m-%d}." if receipt.kept_until else ""
    _say(f"Sent. Tell support this number: {receipt.id}.{until}")


def _save(path: Path, text: str) -> None:
    try:
        durable.write_new(path, text.encode())
    except FileExistsError as error:
        raise Misconfigured(f"{path} is there already; name a new file") from error
    _say(f"The text is in {path}.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _now() -> datetime:
    return datetime.now(UTC)
