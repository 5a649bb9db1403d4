"""Secrets of 256 random bits, which are kept as SHA-256: so much randomness needs no slow hash."""

from __future__ import annotations

import hashlib
import secrets
from typing import NewType

Secret = NewType("Secret", str)
"""Goes to its holder and nowhere else."""


def new(prefix: str) -> Secret:
    """A new one; the prefix says what it is, to people and to who scans for leaked ones."""
    return Secret(prefix + secrets.token_urlsafe(32))


def hashed(presented: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(presented.encode()).hexdigest()
