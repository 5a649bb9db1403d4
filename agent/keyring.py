"""The site's key, and the pseudonyms that it makes.

A pseudonym is its kind's prefix and 16 characters of Crockford base32 (80 bits) of HMAC-SHA-256 under the
site's key. Without the key nobody can go back, not even by trying all MACs or addresses; with it a pseudonym is
the same after every restart.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import stat
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from agent import durable
from agent.errors import Misconfigured
from agent.identity import canonical_name
from agent.pools import canonical_account, canonical_host
from agent.seal import Seal

KEY_BYTES: Final = 32
_CROCKFORD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
_EPOCH: Final = "epo"
_CACHED: Final = 65_536
"""Pseudonyms kept per key: one machine has about four, most of them shared. Bounded, so that a machine that
makes up a new worker each poll costs time and no memory."""


class Kind(StrEnum):
    """What a pseudonym stands for; the value is its prefix."""

    MACHINE = "mnr"
    WORKER = "wrk"
    ACCOUNT = "act"
    POOL = "pol"


class Keyring:
    """The site's key. It never leaves the site, and it shows in no repr, log or error."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Misconfigured(f"a site key has {KEY_BYTES} bytes, this one has {len(key)}")
        self._key = key
        self._cached = lru_cache(maxsize=_CACHED)(self._compute)

    def __repr__(self) -> str:
        return "Keyring(…)"

    @classmethod
    def throwaway(cls) -> Self:
        """A key that is forgotten with the process: pseudonyms of a preview mean nothing afterwards."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key in a new file that only its owner reads. Never overwrites: a lost key cannot be had again.

        The file is there whole or not at all, whenever the process dies. Raises `Misconfigured` or `DiskTrouble`.
        """
        key = secrets.token_bytes(KEY_BYTES)
        try:
            durable.write_new(path, f"{key.hex()}\n".encode())
        except FileExistsError as error:
            raise Misconfigured(f"{path} is there already; it is this site's key and is not overwritten") from error
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key. Raises `Misconfigured` when there is none, others may read it, or it is damaged."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text("ascii").strip()
        except FileNotFoundError as error:
            raise Misconfigured(f"no site key at {path}; `itsminer-agent enroll` makes one") from error
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"cannot read the site key {path}: {error.__class__.__name__}") from error
        if mode & 0o077:
            raise Misconfigured(f"others may read the site key (mode {mode:04o}); run: chmod 600 {path}")
        if not re.fullmatch(f"[0-9a-f]{{{2 * KEY_BYTES}}}", text):
            raise Misconfigured(f"{path} is no site key ({2 * KEY_BYTES} hex digits); put back your copy of it")
        return cls(bytes.fromhex(text))

    def keep(self, path: Path) -> None:
        """Write the key over whatever is there. Raises `DiskTrouble`; then the old one is."""
        durable.write(path, f"{self._key.hex()}\n".encode())

    def archived(self) -> str:
        """The key as text, for the sealed archive of keys that were replaced, and nothing else."""
        return self._key.hex()

    def seal(self, purpose: str) -> Seal:
        """What closes files at this site for everybody without the key."""
        return Seal(self._key, purpose)

    def pseudonym(self, kind: Kind | str, value: str) -> str:
        """The pseudonym of a value; every way to write the same MAC, address, host or wallet gives the same one."""
        return self._cached(Kind(kind), value)

    @property
    def epoch(self) -> str:
        """The pseudonym of the key itself: another key, another epoch."""
        return self._made(_EPOCH, "")

    def _compute(self, kind: Kind, value: str) -> str:
        return self._made(kind, canonical(kind, value))

    def _made(self, prefix: str, value: str) -> str:
        message = prefix.encode() + b"\0" + value.encode(errors="surrogatepass")
        code = base64.b32encode(hmac.digest(self._key, message, "sha256")[:10]).translate(_CROCKFORD)
        return f"{prefix}-{code.decode()}"


def canonical(kind: Kind, value: str) -> str:
    """The form of a value that its pseudonym is made of."""
    match kind:
        case Kind.MACHINE:
            return canonical_name(value)
        case Kind.POOL:
            return canonical_host(value) or value.strip().lower()
        case Kind.ACCOUNT:
            return canonical_account(value)
        case Kind.WORKER:
            return value.strip()
