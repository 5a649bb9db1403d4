"""A new key for a site: from then on every pseudonym is another one. What stands behind the old ones stays known here.

The change is one rename of `site.key`. Before it the files that the new key opens lie beside those of the old one;
after it they take their places, now or at the next start. Whenever the process dies, key and files fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agent import durable, known, vault
from agent.enrolment import State
from agent.errors import Misconfigured
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.lock import alone
from agent.reading import Facts
from agent.sealed import SealedFile
from agent.vault import Entry, MachineName


class OldKey(BaseModel):
    """A key that was replaced, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    replaced_at: datetime
    key: str

    def __repr__(self) -> str:
        return f"OldKey({self.replaced_at:%Y-%m-%d}, …)"


class _Archive(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    keys: tuple[OldKey, ...] = ()


def rotate(state: State, now: datetime, *, keeps_old: bool) -> Keyring:
    """Give the site a new key. With `keeps_old` the old one is kept, sealed with the new one; else it is gone for good.

    Raises `Misconfigured` while an agent runs or when a file cannot be read, `DiskTrouble` when nothing was changed.
    """
    with alone(state.spool):
        durable.sweep(state.folder)
        before, after = Keyring.load(state.key), Keyring.throwaway()
        names, machines, archive = vault.sealed(state.vault), known.sealed(state.machines), _sealed(state.old_keys)
        files = (names, machines, archive)
        for file in files:
            file.settle(before)
        keys = old_keys(state.old_keys, before)
        if keeps_old:
            keys = (*keys, OldKey(replaced_at=now, key=before.archived()))
        names.prepare(after, names.read(before) or vault.Content().model_dump_json().encode())
        if listed := machines.read(before):
            machines.prepare(after, listed)
        archive.prepare(after, _Archive(keys=keys).model_dump_json().encode())
        after.keep(state.key)
        for file in files:
            file.settle(after)
        return after


def old_keys(path: Path, keyring: Keyring) -> tuple[OldKey, ...]:
    """The keys that were kept, oldest first. Raises `Misconfigured` when the file is damaged."""
    data = _sealed(path).read(keyring)
    try:
        return _Archive.model_validate_json(data).keys if data else ()
    except ValidationError as error:
        raise Misconfigured(f"{path} is of another version; move it away") from error


def by_old_keys(state: State, keyring: Keyring, pseudonym: str, entries: Mapping[str, Entry]) -> MachineName | None:
    """The known machine that one of the old keys gave this pseudonym."""
    for old in reversed(old_keys(state.old_keys, keyring)):
        before = Keyring(bytes.fromhex(old.key))
        for entry in entries.values():
            if isinstance(entry, MachineName) and pseudonym in _names(entry, before):
                return entry
    return None


def _names(entry: MachineName, keyring: Keyring) -> Iterator[str]:
    """What a key makes of a machine: as one that has its MAC for itself, and as one that shares it."""
    for shares in (False, True):
        facts = Facts(address=entry.address, driver="vault", mac=entry.mac, serial=entry.serial, shares_mac=shares)
        yield keyring.pseudonym(Kind.MACHINE, identity(facts))


def _sealed(path: Path) -> SealedFile:
    return SealedFile(path, "old keys")
