"""What a reading says that is no number: who made the machine, its pools, its fault codes.

It hardly ever changes, so it is stored once for each machine and day under the digest of its content, and a reading
refers to it by the digest. Writing it again changes nothing; nobody has to remember what is stored already.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from agent.wire import Pool, Reading
from backend.store.influx import names
from backend.store.influx.schema import DAY_US

_WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")
_ALIVENESS: Final = (None, False, True)
_MOST_REMEMBERED: Final = 50_000

Content = tuple[Any, ...]
_digests: dict[Content, int] = {}


class Key(NamedTuple):
    """What a point of facts is found by; all but `digest` and `day_us` as tag values."""

    account: str
    site: str
    machine: str
    digest: int
    day_us: int


def of(reading: Reading) -> tuple[int, Content]:
    """The digest of a reading's facts, a signed 64-bit number, and the facts."""
    pools = reading.pools
    content: Content = (
        reading.make,
        reading.model,
        reading.firmware,
        reading.driver,
        reading.power_mode,
        reading.fault_codes,
        None if pools is None else tuple((pool.host, pool.account, pool.worker) for pool in pools),
    )
    digest = _digests.get(content)
    if digest is None:
        if len(_digests) >= _MOST_REMEMBERED:
            _digests.clear()
        digest = _digests[content] = int.from_bytes(
            blake2b(encode(content).encode(), digest_size=8).digest(), signed=True
        )
    return digest, content


def encode(content: Content) -> str:
    """Facts as JSON without absent ones."""
    words = {name: word for name, word in zip(_WORDS, content, strict=False) if word is not None}
    fault_codes, pools = content[len(_WORDS) :]
    if fault_codes is not None:
        words["fault_codes"] = fault_codes
    if pools is not None:
        words["pools"] = pools
    return json.dumps(words, separators=(",", ":"), sort_keys=True)


def decode(text: str, liveness_of_pools: int | None) -> dict[str, Any]:
    """The fields of a `Reading` that facts hold; of the pools, which are alive is said by the row."""
    fields: dict[str, Any] = json.loads(text)
    pools = fields.pop("pools", None)
    if pools is not None:
        fields["pools"] = [
            {"host": host, "account": account, "worker": worker, "alive": alive, "active": active}
            for (host, account, worker), (alive, active) in zip(
                pools, _each(liveness_of_pools or 0, len(pools)), strict=True
            )
        ]
    return fields


def line(key: Key, content: Content) -> str:
    """Facts as a line, at the start of their day."""
    return (
        f"facts,account={key.account},digest={key.digest},machine={key.machine},site={key.site} "
        f"json={names.text(encode(content))} {key.day_us}"
    )


def day_us(time_us: int) -> int:
    """The start of the day that a time is in."""
    return time_us - time_us % DAY_US


def liveness(pools: tuple[Pool, ...]) -> int:
    """Whether each pool is alive and active, as digits to the base of 9, the first pool's the lowest."""
    number = 0
    for pool in reversed(pools):
        number = 9 * number + 3 * _ALIVENESS.index(pool.alive) + _ALIVENESS.index(pool.active)
    return number


def _each(number: int, count: int) -> list[tuple[bool | None, bool | None]]:
    found = []
    for _ in range(count):
        number, digit = divmod(number, 9)
        found.append((_ALIVENESS[digit // 3], _ALIVENESS[digit % 3]))
    return found
