"""Ten million machines, and no two of them with one pseudonym.

A collision of 80 bits among 10^7 has a chance of 4 in 10^11; one that is found is a fault of ours. The first 64 bits
are compared (3 in 10^6), so that it fits into memory.
"""

from __future__ import annotations

import os
import time
from array import array
from itertools import pairwise

from agent.keyring import Keyring, Kind

PSEUDONYMS = 10_000_000
_BASE32HEX = str.maketrans("0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv")


def collisions(count: int) -> int:
    """How many of the pseudonyms of `count` MACs another one has already."""
    keyring = Keyring(bytes(range(32)))
    seen = array("Q", (_number(keyring.pseudonym(Kind.MACHINE, f"02{number:010x}")) for number in range(count)))
    ordered = sorted(seen)
    return sum(one == other for one, other in pairwise(ordered))


def _number(pseudonym: str) -> int:
    return int(pseudonym[4:].translate(_BASE32HEX), 32) >> 16


def main() -> dict[str, float]:
    """Figures for `make bench BENCH=pseudonyms`; `SOAK_PSEUDONYMS` makes it shorter."""
    count = int(os.environ.get("SOAK_PSEUDONYMS", PSEUDONYMS))
    began_s = time.perf_counter()
    found = collisions(count)
    took_s = time.perf_counter() - began_s
    print(f"{count:,} pseudonyms, {found} collisions, {took_s:.0f} s")
    return {"pseudonyms": count, "collisions": found, "us_per_pseudonym": 1e6 * took_s / count}
