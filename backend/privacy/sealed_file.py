"""A file that is written and read from its beginning to its end, encrypted with a key of its own.

AES-256-GCM in frames of 64 KiB, each bound to its place; the last is marked, so that a file that was cut short is not
taken for a whole one. Memory is one frame, however long the file.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FRAME: Final = 65_536
_TAG: Final = 16


class Damaged(Exception):
    """The file is not what was written, or this is not its key."""


def new_key() -> str:
    """For one file."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


class SealedWriter:
    """A file to write to, for `zipfile`; whole and on the disk when `close` returns."""

    def __init__(self, file: Path, key: str) -> None:
        self._raw = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._cipher = AESGCM(base64.b64decode(key))
        self._held = bytearray()
        self._frames = 0
        self.written = 0  # bytes before encryption

    def write(self, data: bytes) -> int:
        """All of it, later or now."""
        self._held += data
        self.written += len(data)
        while len(self._held) > _FRAME:
            self._frame(bytes(self._held[:_FRAME]), is_last=False)
            del self._held[:_FRAME]
        return len(data)

    def flush(self) -> None:
        """Frames are whole: there is nothing to be done before the last."""

    def close(self) -> None:
        """Write the last frame."""
        self._frame(bytes(self._held), is_last=True)
        self._held.clear()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()

    def abandon(self) -> None:
        """Let go of a file that will not be whole."""
        self._raw.close()

    def _frame(self, plain: bytes, *, is_last: bool) -> None:
        self._raw.write(self._cipher.encrypt(_nonce(self._frames), plain, b"last" if is_last else b""))
        self._frames += 1


def read(file: Path, key: str) -> Iterator[bytes]:
    """What was written, a frame at a time. Raises `Damaged`."""
    cipher = AESGCM(base64.b64decode(key))
    with file.open("rb") as raw:
        sealed, number = raw.read(_FRAME + _TAG), 0
        while sealed:
            following = raw.read(_FRAME + _TAG)
            try:
                yield cipher.decrypt(_nonce(number), sealed, b"" if following else b"last")
            except InvalidTag as error:
                raise Damaged("a sealed file was changed or cut short") from error
            sealed, number = following, number + 1


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")  # the key is used for one file only
