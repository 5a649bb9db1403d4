"""What only this site's key opens: AES-256-GCM, under a key that HKDF-SHA256 makes of it for each purpose."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_MAGIC: Final = b"itsminer-sealed-1\n"
_NONCE_BYTES: Final = 12


class Broken(Exception):
    """Damaged, of another purpose, or sealed with another key."""


class Seal:
    """Closes and opens bytes; it shows its key in no repr."""

    def __init__(self, site_key: bytes, purpose: str) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=f"itsminer {purpose}".encode()).derive(site_key)
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Seal(…)"

    def close(self, data: bytes) -> bytes:
        """Never twice the same: the nonce is random, and 2^32 of them under one key are safe."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _MAGIC + nonce + self._cipher.encrypt(nonce, data, _MAGIC)

    def open(self, sealed: bytes) -> bytes:
        """What was closed, to the bit. Raises `Broken`."""
        if not sealed.startswith(_MAGIC):
            raise Broken("not sealed")
        nonce, secret = sealed[len(_MAGIC) :][:_NONCE_BYTES], sealed[len(_MAGIC) + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, secret, _MAGIC)
        except (InvalidTag, ValueError) as error:
            raise Broken("damaged, or sealed with another key") from error
