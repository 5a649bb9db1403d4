"""Codes that people type: in groups of four, without look-alikes (Crockford base32); only their hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES: Final = str.maketrans("OIL", "011", "- \t")
_GROUP: Final = 4


def new(groups: int) -> str:
    """Of 20 random bits a group, as it is shown: `4F7K-2M9Q-XD3H`."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(groups))


def hashed(code: str) -> str:
    """However it was typed: small letters, O for 0, I or L for 1, with or without dashes."""
    return hashlib.sha256(code.upper().translate(_LOOK_ALIKES).encode()).hexdigest()
