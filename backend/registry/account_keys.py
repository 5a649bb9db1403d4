"""Each account's own keys, in a folder that no backup of the registry holds: without its file an account is noise.

A file an account: its ring (`backend.registry.sealing.Keys`), sealed with the service's keys. So an old backup of the
registry cannot be read for an account that was erased since, neither with the service's keys of today nor with those of
that time: its ring is in neither. Backends that share a registry share the folder; who needs a ring that was made
meanwhile reads it then.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from backend import durable
from backend.registry.sealing import Keys, KeySource, NoKey

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_KEPT: Final = 10_000
"""Rings in memory."""


class AccountKeys:
    """Seals, opens and forgets for one account. Reads and writes small files at once, without yielding."""

    def __init__(self, folder: Path | None, service: KeySource) -> None:
        self._folder = folder
        self._service = service
        self._rings: dict[str, Keys] = {}

    def seal(self, account: str, plain: str, purpose: str) -> str:
        """`<account>.v1.<key>.…`; the account's first brings its ring about. Raises `NoKey`."""
        return f"{account}.{self._ring(account, make=True).seal(plain, purpose)}"

    def open(self, sealed: str, purpose: str) -> str:
        """What was sealed for this purpose. Raises `NoKey`: also when the account was erased."""
        account, _, rest = sealed.partition(".")
        return self._ring(account).open(rest, purpose)

    def index(self, account: str, plain: str) -> str:
        """What something of the account's is looked up by; it says nothing to who has not the account's ring."""
        return self._ring(account, make=True).index(plain)

    def without(self, accounts: Collection[str]) -> list[str]:
        """Those of them that have no ring."""
        return [account for account in accounts if not self._file(account).exists()]

    def destroy(self, account: str) -> None:
        """What was sealed for the account stays sealed, everywhere and for good; durably, and fine to do again."""
        self._rings.pop(account, None)
        durable.destroy(self._file(account))

    def renew(self) -> None:
        """A new key for each account, which seals from now on; all of it under the service's newest key."""
        for account in self._accounts():
            self._write(account, self._ring(account).with_new())

    def settle(self) -> None:
        """Forget each account's older keys: nothing is sealed with them any more."""
        for account in self._accounts():
            self._write(account, self._ring(account).only_newest())

    def _ring(self, account: str, *, make: bool = False) -> Keys:
        if (kept := self._rings.get(account)) is not None:
            return kept
        file = self._file(account)
        if make and not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.make(file, self._sealed(account, Keys.fresh()))
        try:
            sealed = file.read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise NoKey(f"{account} has no key in {file.parent}: it was erased, or this is not its folder") from error
        except (OSError, UnicodeDecodeError) as error:
            raise NoKey(f"{file} cannot be read ({type(error).__name__})") from error
        return self._keep(account, Keys.parse(self._service.keys.open(sealed, _purpose(account))))

    def _keep(self, account: str, ring: Keys) -> Keys:
        if len(self._rings) >= _MOST_KEPT:
            del self._rings[next(iter(self._rings))]
        self._rings[account] = ring
        return ring

    def _write(self, account: str, ring: Keys) -> None:
        durable.replace(self._file(account), self._sealed(account, ring))
        self._keep(account, ring)

    def _sealed(self, account: str, ring: Keys) -> bytes:
        return self._service.keys.seal(ring.text(), _purpose(account)).encode()

    def _accounts(self) -> list[str]:
        if self._folder is None or not self._folder.exists():
            return []
        return sorted(file.name for file in self._folder.iterdir() if _ACCOUNT.fullmatch(file.name))

    def _file(self, account: str) -> Path:
        if self._folder is None:
            raise NoKey("this registry needs a folder for accounts' keys: set seal.accounts_dir")
        if not _ACCOUNT.fullmatch(account):
            raise NoKey("this is sealed for no account")
        return self._folder / account


def _purpose(account: str) -> str:
    return f"ring of {account}"
