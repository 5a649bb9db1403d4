"""The way back from a pseudonym to what it stands for. It stays at the site, and only its owner reads it.

The file is there whole or not at all; it is written when something changed, and not more often than `write_s`. What
the process did not get to write when it died is learnt again from the machines.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent import durable
from agent.errors import Misconfigured
from agent.identity import identity
from agent.pools import PublicPools, canonical_host, split_user, user_of
from agent.pseudonym import Keyring, Kind
from agent.reading import Facts, RawPool, RawReading

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
_ENTRIES: Final = TypeAdapter(dict[str, Entry])


class Vault:
    """What stands behind this site's pseudonyms. Raises `Misconfigured` when the file is damaged."""

    def __init__(self, path: Path, clock: Callable[[], datetime], write_s: float = 10.0) -> None:
        self._path = path
        self._clock = clock
        self._write_s = write_s
        self._entries = read(path)
        self._known: dict[str, tuple[Facts, tuple[RawPool, ...] | None]] = {}
        self._changed = False
        self._written_at: datetime | None = None

    def remember(self, raw: RawReading, keyring: Keyring, pools: PublicPools) -> None:
        """Note what this reading's pseudonyms stand for. Cheap when nothing is new."""
        machine = keyring.pseudonym(Kind.MACHINE, identity(raw.facts))
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
        self._remember_pools(seen[1] or (), keyring, pools)

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
            await asyncio.to_thread(_store, self._path, dict(self._entries))
        except BaseException:
            self._changed = True
            raise

    def _remember_pools(self, raw_pools: tuple[RawPool, ...], keyring: Keyring, pools: PublicPools) -> None:
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
        self._changed = True
        if len(self._entries) > _MOST_NAMES:
            oldest = next((key for key, old in self._entries.items() if old.kind != "machine"), pseudonym)
            del self._entries[oldest]


def read(path: Path) -> dict[str, MachineName | PlainName]:
    """All entries by pseudonym; none when there is no file. Raises `Misconfigured` when it cannot be read."""
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Misconfigured(f"cannot read the vault {path}: {error.strerror}") from error
    except ValidationError as error:
        raise Misconfigured(f"the vault {path} is damaged; move it away, the agent learns the names anew") from error


def _store(path: Path, entries: dict[str, MachineName | PlainName]) -> None:
    names = {pseudonym: entry.model_dump(exclude_none=True) for pseudonym, entry in entries.items()}
    durable.write(path, json.dumps(names, ensure_ascii=False).encode())


def _users(raw_pools: tuple[RawPool, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_plain(user) for pool in raw_pools if (user := user_of(pool))))


def _hosts(raw_pools: tuple[RawPool, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_plain(host) for pool in raw_pools if pool.url and (host := canonical_host(pool.url))))


def _plain(text: str) -> str:
    """Text that UTF-8 can write; hostile machines send half of a surrogate pair."""
    return text[:300].encode(errors="replace").decode()
