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
    """So many ids, for little more than the price of one. They begin alike and so lie together in an index: a commit
    with thousands of them changes a few of its pages, not all. 60 bits of each are its own.
    """
    drawn = secrets.token_bytes(4 + 12 * count).translate(_OF_BYTES).decode()
    head = f"{prefix}_{drawn[:4]}"
    return [head + drawn[start : start + 12] for start in range(4, 4 + 12 * count, 12)]
