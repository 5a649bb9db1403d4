"""Finds out what can be known of one machine for a support bundle: from the vault, from the machine, over SSH.

What cannot be found out is a sentence in the bundle, not the end of it: a machine in trouble answers badly.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.config import AgentSettings, Credential, SshLogin
from agent.discover import discover, expand
from agent.drivers.logins import MAKES, canonical_make
from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError, MinerUnreachable, Misconfigured
from agent.hostkeys import HostKeys
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.pools import PublicPools, user_of
from agent.pseudonym import pseudonymize
from agent.reading import Facts, Live, RawReading
from agent.redaction import Redactor
from agent.ssh import Limits, Login, Visit, load_key, visit
from agent.ssh_commands import FAMILIES, family_of
from agent.support import Findings, know_site
from agent.twins import Remembered, told_apart
from agent.vault import MachineName, PlainName


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What is needed to look into a machine."""

    settings: AgentSettings
    keyring: Keyring
    vault: Mapping[str, MachineName | PlainName]
    listed: Sequence[Facts]  # the machines that this site had
    driver: Driver
    host_keys: HostKeys
    clock: Callable[[], datetime]
    say: Callable[[str], None]
    limits: Limits = field(default_factory=Limits)

    @property
    def pools(self) -> PublicPools:
        return PublicPools(self.settings.pools.public, self.settings.pools.expected)

    def name_of(self, facts: Facts) -> str:
        """A machine's pseudonym."""
        return self.keyring.pseudonym(Kind.MACHINE, identity(facts))


def address_of(where: str, settings: AgentSettings, vault: Mapping[str, MachineName | PlainName]) -> str:
    """The address that an operator means by an address or a machine's pseudonym.

    Raises `Misconfigured` for a pseudonym that is not known and for an address outside the settings' ranges: passwords
    do not go to a slip of the pen.
    """
    where = where.strip().lower()
    if where.startswith(f"{Kind.MACHINE}-"):
        entry = vault.get(where)
        if not isinstance(entry, MachineName):
            raise Misconfigured(f"{where} is not known here; give the machine's address")
        return entry.address
    addresses = expand([where])
    if len(addresses) != 1:
        raise Misconfigured(f"{where} is {len(addresses)} addresses; a bundle is about one machine")
    ranges = settings.network.ranges
    if ranges and addresses[0] not in set(expand(ranges, settings.network.exclude)):
        raise Misconfigured(f"{where} is outside of network.ranges; add it there if it is one of your machines")
    return addresses[0]


async def look_into(address: str, desk: Desk, *, over_ssh: bool) -> tuple[Findings, Redactor]:
    """Everything about the machine at an address, and a redactor that knows its names and the site's.

    Raises `MinerUnreachable` when the machine neither answers nor is known from before.
    """
    misses: list[str] = []
    remembered = _remembered(address, desk)
    miner = await _find(address, desk)
    if miner is None and remembered is None:
        raise MinerUnreachable(f"no miner answers at {address}, and none is known there from before")
    facts = miner.facts if miner else remembered
    assert facts is not None
    if miner is None:
        misses.append(f"{address} does not answer as a miner; the facts are those of the last time that it did")
    live = await _read(miner, desk, misses) if miner else None
    raw = RawReading(time=_on_the_grid(desk), facts=facts, live=live)
    machine = desk.name_of(facts)
    seen = await _visit(address, facts, desk, misses) if over_ssh else None
    findings = Findings(
        machine=machine,
        facts=facts,
        reading=pseudonymize(raw, desk.keyring, desk.pools) if miner else None,
        visit=seen,
        misses=tuple(misses),
    )
    return findings, _redactor(machine, address, raw, desk)


def ssh_logins(facts: Facts, settings: AgentSettings) -> list[Login]:
    """The settings' logins for a machine: those of its firmware before those of its maker, `[[ssh]]` before
    `[[credentials]]`. Raises `Misconfigured` for an unknown make, and for a file that cannot be read."""
    for one in settings.ssh:
        if canonical_make(one.make) not in MAKES:
            raise Misconfigured(f"ssh of {one.make}: write one of {', '.join(sorted(MAKES))}")
    makes = dict.fromkeys((family_of(facts), canonical_make(facts.make or "")))
    found = [_login(one) for make in makes for one in settings.ssh if canonical_make(one.make) == make]
    return found or [
        Login(one.username, one.password())
        for make in makes
        for one in settings.credentials
        if canonical_make(one.make) == make
    ]


def _login(one: SshLogin) -> Login:
    data = one.key()
    try:
        key = load_key(data) if data is not None else None
    except ValueError as error:
        raise Misconfigured(f"ssh of {one.make}: {one.key_file}: {error}") from error
    return Login(one.username, one.password(), key, one.port)


def _remembered(address: str, desk: Desk) -> Facts | None:
    """What is known of the machine that was last at an address: by the list of machines, else by the vault."""
    for facts in desk.listed:
        if facts.address == address:
            return facts
    for entry in desk.vault.values():
        if isinstance(entry, MachineName) and entry.address == address:
            return Facts(
                address=address,
                driver="vault",
                make=entry.make,
                model=entry.model,
                firmware=entry.firmware,
                mac=entry.mac,
                serial=entry.serial,
                hostname=entry.hostname,
            )
    return None


async def _find(address: str, desk: Desk) -> Miner | None:
    desk.say(f"Reading the machine at {address}…")
    rate = desk.settings.network.connections_per_s
    async with contextlib.aclosing(discover([address], desk.driver, connections_per_s=rate)) as miners:
        async for miner in miners:
            return await told_apart(miner, Remembered.of(desk.listed), desk.driver, desk.name_of)
    return None


async def _read(miner: Miner, desk: Desk, misses: list[str]) -> Live | None:
    try:
        async with asyncio.timeout(desk.settings.poll.deadline_s):
            return await miner.read()
    except TimeoutError:
        misses.append(f"reading: no answer within {desk.settings.poll.deadline_s:g} s")
    except AgentError as error:
        misses.append(f"reading: {error}")
    return None


async def _visit(address: str, facts: Facts, desk: Desk, misses: list[str]) -> Visit | None:
    desk.say(f"Asking {address} for its logs over SSH…")
    try:
        logins = ssh_logins(facts, desk.settings)
        seen = await visit(address, logins, FAMILIES[family_of(facts)], desk.host_keys, desk.clock, desk.limits)
    except AgentError as error:
        misses.append(f"logs over SSH: {error}")
        desk.say(f"No logs over SSH: {error}")
        return None
    if seen.is_first:
        desk.say(f"This is the first SSH visit to {address}: its host key {seen.fingerprint} is trusted from now on.")
    return seen


def _on_the_grid(desk: Desk) -> datetime:
    now = desk.clock()
    return now - timedelta(seconds=now.timestamp() % desk.settings.poll.interval_s)


def _redactor(machine: str, address: str, raw: RawReading, desk: Desk) -> Redactor:
    """Knows the machine at hand first and closely, then the settings, then the rest of the site."""
    redactor = Redactor(desk.keyring, desk.pools)
    redactor.know_facts(machine, raw.facts)
    redactor.know_machine(machine, [address], closely=True)
    remembered = desk.vault.get(machine)
    if isinstance(remembered, MachineName):
        names = (remembered.mac, remembered.serial, remembered.hostname, remembered.address)
        redactor.know_machine(machine, names, closely=True)
        for worker in remembered.workers:
            redactor.know_user(worker, closely=True)
    for pool in (raw.live.pools if raw.live else None) or ():
        if pool.url:
            redactor.know_host(pool.url)
        if (user := user_of(pool)) is not None:
            redactor.know_user(user, closely=True)
    for expected in desk.settings.pools.expected:
        whose, _, host = expected.rpartition("@")
        redactor.know_host(host)
        if whose:
            redactor.know_name(Kind.ACCOUNT, whose, closely=True)
    for secret in _secrets(desk.settings):
        redactor.know_secret(secret)
    know_site(redactor, desk.vault)
    return redactor


def _secrets(settings: AgentSettings) -> Iterator[str]:
    logins: tuple[Credential | SshLogin, ...] = (*settings.credentials, *settings.ssh)
    for one in logins:
        with contextlib.suppress(Misconfigured):  # what cannot be read was not used either
            if password := one.password():
                yield password
