"""Names of the things that belong to an account; typed, so that no call mixes them up."""

from __future__ import annotations

import secrets
from typing import NewType

AccountId = NewType("AccountId", str)
MemberId = NewType("MemberId", str)
SiteId = NewType("SiteId", str)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new(prefix: str) -> str:
    """A random id such as `acc_5k2…`: 80 bits, so that ids cannot be guessed or counted."""
    return f"{prefix}_" + "".join(_ALPHABET[byte % 32] for byte in secrets.token_bytes(16))  # 256 is 8 times 32
