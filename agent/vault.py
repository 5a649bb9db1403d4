"""The way back from a pseudonym to what it stands for. It stays at the site, and only its owner reads it.

The file is sealed with a key made of the site's; it is there whole or not at all; it is written when something
changed, and not more often than `write_s`. What the process did not get to write when it died is learnt again from the
machines. What was forgotten on purpose is not: it is known while the process runs, and never written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import Misconfigured
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.pools import PublicPools, canonical_host, split_user, user_of
from agent.reading import Facts, RawPool, RawReading
from agent.sealed import SealedFile

_MOST_NAMES: Final = 200_000
"""Of workers, accounts and pools together; past it the ones learnt first are forgotten."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MachineName(_Entry):
    """A machine, as last seen."""

    kind: Literal["machine"] = "machine"
    address: str
    mac: str | None = None
    serial: str | None = None
    hostname: str | None = None
    make: str | None = None
    model: str | None = None
    firmware: str | None = None
    workers: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()


class PlainName(_Entry):
    """A worker, a pool account or a pool host, as written in a machine's settings."""

    kind: Literal["worker", "account", "pool"]
    value: str


Entry = Annotated[MachineName | PlainName, Field(discriminator="kind")]


class Content(_Entry):
    """All that the file holds."""

    entries: dict[str, Entry] = {}
    forgotten: frozenset[str] = frozenset()  # pseudonyms that are not to be learnt again


class Vault:
    """What stands behind this site's pseudonyms. Raises `Misconfigured` when the file is damaged."""

    def __init__(self, path: Path, keyring: Keyring, clock: Callable[[], datetime], write_s: float = 10.0) -> None:
        self._path = path
        self._keyring = keyring
        self._clock = clock
        self._write_s = write_s
        sealed(path).settle(keyring)
        content = read_all(path, keyring)
        self._entries, self._forgotten = dict(content.entries), content.forgotten
        self._known: dict[str, tuple[Facts, tuple[RawPool, ...] | None]] = {}
        self._changed = False
        self._written_at: datetime | None = None

    def remember(self, raw: RawReading, pools: PublicPools) -> None:
        """Note what this reading's pseudonyms stand for. Cheap when nothing is new."""
        machine = self._keyring.pseudonym(Kind.MACHINE, identity(raw.facts))
        seen = (raw.facts, raw.live.pools if raw.live else None)
        if self._known.get(machine) == seen:
            return
        self._known[machine] = seen
        facts = raw.facts
        workers, hosts = _users(seen[1] or ()), _hosts(seen[1] or ())
        before = self._entries.get(machine)
        if seen[1] is None and isinstance(before, MachineName):
            workers, hosts = before.workers, before.pools
        self._note(
            machine,
            MachineName(
                address=_plain(facts.address),
                mac=facts.mac and _plain(facts.mac),
                serial=facts.serial and _plain(facts.serial),
                hostname=facts.hostname and _plain(facts.hostname),
                make=facts.make and _plain(facts.make),
                model=facts.model and _plain(facts.model),
                firmware=facts.firmware and _plain(facts.firmware),
                workers=workers,
                pools=hosts,
            ),
        )
        self._remember_pools(seen[1] or (), pools)

    def get(self, pseudonym: str) -> MachineName | PlainName | None:
        """What stands behind a pseudonym of this site; None when it was never seen, or forgotten."""
        return self._entries.get(pseudonym)

    def last_pools(self, machine: str) -> tuple[RawPool, ...]:
        """The pool hosts and users that a machine had when it last told them."""
        entry = self._entries.get(machine)
        if not isinstance(entry, MachineName):
            return ()
        return (*(RawPool(url=host) for host in entry.pools), *(RawPool(user=user) for user in entry.workers))

    def due(self) -> bool:
        """Whether there is something to write and the last write is `write_s` ago."""
        if not self._changed:
            return False
        return self._written_at is None or (self._clock() - self._written_at).total_seconds() >= self._write_s

    async def write(self) -> None:
        """Write the file if something changed. Raises `DiskTrouble`, and is then still due."""
        if not self._changed:
            return
        self._written_at = self._clock()
        self._changed = False
        try:
            kept = {name: entry for name, entry in self._entries.items() if name not in self._forgotten}
            content = Content.model_construct(entries=kept, forgotten=self._forgotten)
            await asyncio.to_thread(store, self._path, self._keyring, content)
        except BaseException:
            self._changed = True
            raise

    def _remember_pools(self, raw_pools: tuple[RawPool, ...], pools: PublicPools) -> None:
        keyring = self._keyring
        for pool in raw_pools:
            host = canonical_host(pool.url) if pool.url else None
            if host and pools.name(host) is None:
                self._note(keyring.pseudonym(Kind.POOL, host), PlainName(kind="pool", value=_plain(host)))
            account, worker = split_user(user_of(pool) or "")
            if account:
                self._note(keyring.pseudonym(Kind.ACCOUNT, account), PlainName(kind="account", value=_plain(account)))
            if worker:
                self._note(keyring.pseudonym(Kind.WORKER, worker), PlainName(kind="worker", value=_plain(worker)))

    def _note(self, pseudonym: str, entry: MachineName | PlainName) -> None:
        if self._entries.get(pseudonym) == entry:
            return
        self._entries[pseudonym] = entry
        self._changed = self._changed or pseudonym not in self._forgotten
        if len(self._entries) > _MOST_NAMES:
            oldest = next((key for key, old in self._entries.items() if old.kind != "machine"), pseudonym)
            del self._entries[oldest]


def read(path: Path, keyring: Keyring) -> dict[str, Entry]:
    """All entries by pseudonym; none when there is no file. Raises `Misconfigured` when it cannot be read."""
    return read_all(path, keyring).entries


def read_all(path: Path, keyring: Keyring) -> Content:
    """As `read`, with what was forgotten on purpose."""
    data = sealed(path).read(keyring)
    if data is None:
        return Content()
    try:
        return Content.model_validate_json(data)
    except ValidationError as error:
        raise Misconfigured(f"the vault {path} is of another version; move it away: then it begins anew") from error


def store(path: Path, keyring: Keyring, content: Content) -> None:
    """Put the content in place. Raises `DiskTrouble`; then the old one is."""
    sealed(path).write(keyring, content.model_dump_json(exclude_none=True).encode())


def forget(path: Path, keyring: Keyring, pseudonym: str) -> MachineName | PlainName | None:
    """Take an entry out for good, and never learn it again; no agent may be running. The entry, if there was one."""
    sealed(path).settle(keyring)
    content = read_all(path, keyring)
    entries = dict(content.entries)
    entry = entries.pop(pseudonym, None)
    store(path, keyring, Content(entries=entries, forgotten=content.forgotten | {pseudonym}))
    return entry


def sealed(path: Path) -> SealedFile:
    """The file as such."""
    return SealedFile(path, "vault")


def _users(raw_pools: tuple[RawPool, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_plain(user) for pool in raw_pools if (user := user_of(pool))))


def _hosts(raw_pools: tuple[RawPool, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_plain(host) for pool in raw_pools if pool.url and (host := canonical_host(pool.url))))


def _plain(text: str) -> str:
    """Text that UTF-8 can write; hostile machines send half of a surrogate pair."""
    return text[:300].encode(errors="replace").decode()
