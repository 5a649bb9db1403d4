"""One key an account, wrapped by the master key: without the account's key file its data is noise.

The file holds the account's key, encrypted with the master key (AES-256-GCM, bound to the account's id). Erasing an
account destroys this file first; what is left of the account then, also in a backup without it, cannot be read.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backend import durable
from backend.ids import AccountId

_BYTES: Final = 32
_NONCE: Final = 12
_WRAPPED: Final = _NONCE + _BYTES + 16


class BadKey(Exception):
    """A key is not there, not one, or not the one that the data was written with. The message says which."""


@dataclass(frozen=True, slots=True, repr=False)
class AccountKey:
    """What one account's files are encrypted with."""

    hot: str
    sealed: str


class Keys:
    """Wraps and unwraps the accounts' keys."""

    def __init__(self, master: bytes) -> None:
        if len(master) != _BYTES:
            raise BadKey(f"the master key is {_BYTES} bytes")
        self._master = AESGCM(master)

    def load(self, path: Path, account: AccountId) -> AccountKey:
        """An account's key. Raises `BadKey` and `FileNotFoundError`."""
        wrapped = path.read_bytes()
        if len(wrapped) != _WRAPPED:
            raise BadKey(f"{path} is no account's key")
        try:
            key = self._master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], account.encode())
        except InvalidTag as error:
            raise BadKey(f"{path} was made with another master key") from error
        return AccountKey(hot=_derived(key, b"hot"), sealed=_derived(key, b"sealed"))

    def make(self, path: Path, account: AccountId) -> AccountKey:
        """A new key, durable before it is used."""
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._master.encrypt(nonce, os.urandom(_BYTES), account.encode())
        durable.replace(path, wrapped)
        return self.load(path, account)


def master_key(path: Path) -> bytes:
    """The master key in a file: 32 bytes in base64. Raises `BadKey`, `OSError`."""
    return parsed(path.read_text(encoding="ascii", errors="replace"), of=str(path))


def parsed(text: str, *, of: str) -> bytes:
    """32 bytes from their base64. Raises `BadKey`, which names where it is from and never the text."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _BYTES:
        raise BadKey(f"{of}: not 32 bytes in base64 (openssl rand -base64 32 makes them)")
    return key


def made_or_loaded(path: Path) -> bytes:
    """The master key in a file of our own, made when it is not there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        durable.replace(path, base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
    return master_key(path)


def _derived(key: bytes, use: bytes) -> str:
    made = HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=b"itsminer " + use).derive(key)
    return base64.b64encode(made).decode()
