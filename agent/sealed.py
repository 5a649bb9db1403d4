"""Files that only this site's key opens, and that outlive a change of keys.

Before the key is replaced, the same content is written beside the file, sealed with the key that follows; after it,
`settle` leaves the one file that the key opens. Whenever the process dies, one of the two fits the key.
"""

from __future__ import annotations

from pathlib import Path

from agent import durable
from agent.errors import Misconfigured
from agent.keyring import Keyring
from agent.seal import Broken


class Damaged(Misconfigured):
    """The key does not open what is there."""


class SealedFile:
    """One file, for one purpose."""

    def __init__(self, path: Path, purpose: str) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.next")
        self._purpose = purpose

    def read(self, keyring: Keyring) -> bytes | None:
        """The content; None when there is no file. Raises `Damaged`, or `Misconfigured` when it cannot be read."""
        for path in (self._path, self._beside):
            content = self._opened(path, keyring)
            if content is not None:
                return content
        if self._path.exists():
            raise Damaged(
                f"the {self._purpose} {self._path} is damaged, or of another site.key; "
                "put back your copy, or move it away: then it begins anew"
            )
        return None

    def write(self, keyring: Keyring, content: bytes) -> None:
        """Put the content in place, whole or not at all. Raises `DiskTrouble`."""
        durable.write(self._path, keyring.seal(self._purpose).close(content))

    def prepare(self, following: Keyring, content: bytes) -> None:
        """Write the content beside the file, for the key that is about to follow. Call `settle` before."""
        durable.write(self._beside, following.seal(self._purpose).close(content))

    def settle(self, keyring: Keyring) -> None:
        """After a change of keys, finished or broken off: leave one file, that which this key opens."""
        if not self._beside.exists():
            return
        try:
            if self._opened(self._path, keyring) is None and self._opened(self._beside, keyring) is not None:
                self._beside.replace(self._path)
            self._beside.unlink(missing_ok=True)
            durable.sync_folder(self._path.parent)
        except OSError as error:
            raise durable.trouble(error, self._path) from error

    def _opened(self, path: Path, keyring: Keyring) -> bytes | None:
        try:
            return keyring.seal(self._purpose).open(path.read_bytes())
        except (FileNotFoundError, Broken):
            return None
        except OSError as error:
            raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
