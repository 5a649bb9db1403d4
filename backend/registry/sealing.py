"""Contacts at rest: sealed with a key that the database does not hold.

Guarantees: who has the database and not the keys learns neither addresses nor numbers, only which rows hold the same
address (its blind index) and how long each is. AES-256-GCM with a random nonce; the column's name is authenticated, so
that an address is not taken for a number. The blind index is an HMAC under a key of its own.

Keys are lines of `number:base64`, in a file or an environment variable. The one with the highest number seals; the
others open what was sealed before it, until a rotation (`backend.accounts.rotation`) has sealed everything anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import stat
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from backend import durable

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class NoKey(ValueError):
    """The keys cannot be used; the message says why and never what they are."""


class Keys:
    """A ring of numbered keys; immutable."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        if not keys:
            raise NoKey("there is no key")
        if any(len(key) != _KEY_BYTES for key in keys.values()):
            raise NoKey(f"each key is {_KEY_BYTES} bytes, in base64")
        self._keys = dict(sorted(keys.items(), reverse=True))  # newest first
        self._ciphers = {number: AESGCM(_derived(key, b"seal")) for number, key in self._keys.items()}

    def __repr__(self) -> str:
        return f"Keys({', '.join(map(str, self._keys))})"

    @classmethod
    def parse(cls, text: str) -> Keys:
        """From lines (or words) of `number:base64`. Raises `NoKey`."""
        keys = {}
        for word in text.split():
            number, _, key = word.partition(":")
            try:
                keys[int(number)] = base64.b64decode(key, validate=True)
            except (ValueError, binascii.Error) as error:
                raise NoKey("a key is written as number:base64") from error
        return cls(keys)

    @classmethod
    def fresh(cls) -> Keys:
        """One new key."""
        return cls({1: secrets.token_bytes(_KEY_BYTES)})

    @property
    def newest(self) -> int:
        """The number of the key that seals."""
        return next(iter(self._keys))

    def text(self) -> str:
        """As `parse` reads it."""
        return "".join(f"{number}:{base64.b64encode(key).decode()}\n" for number, key in self._keys.items())

    def with_new(self) -> Keys:
        """With one more key, which seals from now on."""
        return Keys(self._keys | {self.newest + 1: secrets.token_bytes(_KEY_BYTES)})

    def only_newest(self) -> Keys:
        """Without the keys that nothing is sealed with any more."""
        return Keys({self.newest: self._keys[self.newest]})

    def seal(self, plain: str, purpose: str) -> str:
        """`v1.<key>.<nonce and ciphertext>`; never the same twice."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self.newest].encrypt(nonce, plain.encode(), purpose.encode())
        return f"v1.{self.newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, purpose: str) -> str:
        """What was sealed for this purpose. Raises `NoKey`: by another key, or changed since."""
        version, _, rest = sealed.partition(".")
        number, _, data = rest.partition(".")
        cipher = self._ciphers.get(int(number)) if version == "v1" and number.isdigit() else None
        if cipher is None:
            raise NoKey("a contact was sealed with a key that is not here")
        raw = base64.urlsafe_b64decode(data)
        try:
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except InvalidTag as error:
            raise NoKey("a contact was sealed with another key of this number, or changed since") from error

    def index(self, plain: str) -> str:
        """What a contact is looked up by, without being known."""
        return self.macs(b"index", plain)[0]

    def indexes(self, plain: str) -> list[str]:
        """The index under each key, newest first: for look-ups while a rotation is under way."""
        return self.macs(b"index", plain)

    def macs(self, purpose: bytes, text: str) -> list[str]:
        """An HMAC-SHA256 of a text under a key for this purpose, of each key, newest first; 64 hex digits."""
        return [
            hmac.new(_derived(key, purpose), text.encode(), hashlib.sha256).hexdigest() for key in self._keys.values()
        ]


class KeySource:
    """Where a database's keys come from; they are read when they are first needed."""

    def __init__(self, read: Callable[[], Keys]) -> None:
        self._read = read

    @cached_property
    def keys(self) -> Keys:
        """Raises `NoKey`."""
        return self._read()

    @classmethod
    def of_text(cls, text: str) -> KeySource:
        """The keys themselves, as from the environment."""
        return cls(lambda: Keys.parse(text))

    @classmethod
    def of_file(cls, file: Path) -> KeySource:
        """A file that only its owner may read; made, with a new key, when there is none."""
        return cls(lambda: _of_file(file))

    @classmethod
    def missing(cls) -> KeySource:
        """No keys: contacts can be neither written nor read."""

        def refuse() -> Keys:
            raise NoKey("this registry needs a key for contacts: set contacts.keys_file")

        return cls(refuse)


def write_keys(file: Path, keys: Keys) -> None:
    """Replace a file of keys; a crash leaves the old or the new one."""
    durable.replace(file, keys.text().encode())


def _of_file(file: Path) -> Keys:
    try:
        if not file.exists():
            durable.make(file, Keys.fresh().text().encode())
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise NoKey(f"{file}: others may read it: chmod 600")
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise NoKey(f"{file}: the keys for contacts cannot be read ({type(error).__name__})") from error
    try:
        return Keys.parse(text)
    except NoKey as error:
        raise NoKey(f"{file}: {error}") from error


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, b"itsminer contacts " + purpose).derive(key)
