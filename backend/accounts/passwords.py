"""Passwords: argon2id, and what is no password at all: too short, or among the first that anybody tries.

A check costs the same whether there is such a person or not (`Passwords.check` with None), so that an answer's time
tells nobody who has an account.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from backend.registry.errors import Invalid

SHORTEST: Final = 12
LONGEST: Final = 256

# OWASP's first recommendation for argon2id (password storage cheat sheet): 19 MiB, two passes, one lane.
_MEMORY_KIB: Final = 19_456
_PASSES: Final = 2
_AT_ONCE: Final = 4
_DISTINCT: Final = 5
_JUDGED: Final = 64  # characters: judging costs more than their number, 0.1 s for these at worst
_HARD_ENOUGH: Final = 3  # of 4: over 10^8 guesses, at argon2id's price


class Passwords:
    """Hashes, a few at a time: each takes memory and a core."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobodys = _hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The PHC string to keep. Raises `Invalid` for a password that is easy to guess."""
        async with self._slots:
            await asyncio.to_thread(_refuse_easy, password)
            return await asyncio.to_thread(_hash, password)

    async def check(self, password: str, kept: str | None) -> bool:
        """Whether it is the one; None is nobody's, is never it, and takes as long."""
        async with self._slots:
            fits = await asyncio.to_thread(_verify, password, kept or self._nobodys)
        return fits and kept is not None


def acceptable(password: str, email: str) -> str:
    """The password. Raises `Invalid` for one that says little or whose it is; the message does not repeat it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(f"a password has {SHORTEST} to {LONGEST} characters")
    if len(set(password)) < _DISTINCT:
        raise Invalid("a password has more than a few different characters")
    name = email.partition("@")[0].lower()
    if len(name) > 3 and name in password.lower():
        raise Invalid("a password does not contain your e-mail address")
    return password


def _refuse_easy(password: str) -> None:
    """By zxcvbn's lists of passwords and names that leaked, and what people make of them: `P@ssw0rd2024`."""
    from zxcvbn import zxcvbn  # not at the top: 13 MB that a service needs when somebody sets a password

    found = zxcvbn(password[:_JUDGED])
    if found["score"] < _HARD_ENOUGH:
        advice = found["feedback"]
        told = [words.rstrip(".") for words in (advice["warning"], *advice["suggestions"]) if words]
        raise Invalid("; ".join(["this password is among the first that are tried", *told]))


def _hash(password: str) -> str:
    return _kdf(secrets.token_bytes(16)).derive_phc_encoded(password.encode())


def _verify(password: str, kept: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), kept)
    except InvalidKey:
        return False
    return True


def _kdf(salt: bytes) -> Argon2id:
    return Argon2id(salt=salt, length=32, iterations=_PASSES, lanes=1, memory_cost=_MEMORY_KIB)
