"""Names of the things that belong to an account; typed, so that no call mixes them up."""

from __future__ import annotations

import secrets
from typing import NewType

AccountId = NewType("AccountId", str)
MemberId = NewType("MemberId", str)
SiteId = NewType("SiteId", str)

_OF_BYTES = b"0123456789abcdefghjkmnpqrstvwxyz" * 8  # 256 is 8 times 32: each is as likely


def new(prefix: str) -> str:
    """A random id such as `acc_5k2…`: 80 bits, so that ids cannot be guessed or counted."""
    return f"{prefix}_{secrets.token_bytes(16).translate(_OF_BYTES).decode()}"


def many(prefix: str, count: int) -> list[str]:
    """So many ids, for little more than the price of one."""
    letters = secrets.token_bytes(16 * count).translate(_OF_BYTES).decode()
    return [f"{prefix}_{letters[start : start + 16]}" for start in range(0, 16 * count, 16)]
