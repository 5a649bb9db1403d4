"""Which addresses a range means, and which of them are machines.

Looking is gentle: so many new connections a second, a bare connection first, and only what accepts one is asked
what it is.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncGenerator, Callable, Container, Iterable, Sequence
from typing import Final

from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError, Misconfigured
from agent.probe import PORTS, is_open

MOST_ADDRESSES: Final = 65_536
"""Of one site's ranges together; a larger one is a slip of the pen."""
_CONNECT_S: Final = 1.5
_FIND_S: Final = 20.0
"""For one machine to be identified: asic-rs needs up to 9 s to give up, pyasic as long after it."""
_KNOCKING: Final = 256
_IDENTIFIED_AT_ONCE: Final = 32
_SLOW_S: Final = 3.0
"""asic-rs gives up after 4 s; what is no machine says so in milliseconds."""
_MOST_AGAIN: Final = 256
"""So that a network where everything accepts and nothing answers does not take twice as long."""
_FORMS: Final = "write 192.168.1.0/24, 192.168.1.10-50, 192.168.1.10-192.168.2.50 or one address"


def expand(ranges: Iterable[str], exclude: Iterable[str] = ()) -> list[str]:
    """The IPv4 addresses of ranges, each once, in their order, without those excluded.

    A range is a network, `first-last`, `first-last octet`, an address, or several of these with commas between.
    Of a network the first and the last address are none of a machine. Raises `Misconfigured`.
    """
    left_out = [_span(part) for part in _parts(exclude)]
    spans = [_span(part) for part in _parts(ranges)]
    total = sum(last - first + 1 for first, last in spans)
    if total > MOST_ADDRESSES:
        raise Misconfigured(
            f"{total:,} addresses are too many to look at, {MOST_ADDRESSES:,} are the most: name smaller ranges"
        )
    found: dict[int, None] = {}
    for first, last in spans:
        found |= dict.fromkeys(range(first, last + 1))
    return [
        str(ipaddress.IPv4Address(number))
        for number in found
        if not any(first <= number <= last for first, last in left_out)
    ]


def _parts(ranges: Iterable[str]) -> list[str]:
    return [part for text in ranges for part in re.split(r"[,;\s]+", re.sub(r"\s*-\s*", "-", text.strip())) if part]


def _span(text: str) -> tuple[int, int]:
    """The first and the last address of one range, as numbers."""
    if ":" in text:
        raise Misconfigured(f"{text}: miners are asked by IPv4 only; {_FORMS}")
    try:
        if "/" in text:
            network = ipaddress.IPv4Network(text, strict=False)
            first, last = int(network.network_address), int(network.broadcast_address)
            return (first + 1, last - 1) if network.prefixlen <= 30 else (first, last)
        begin, dash, end = text.partition("-")
        if dash and "." not in end:
            end = f"{begin.rpartition('.')[0]}.{end}"
        first = int(ipaddress.IPv4Address(begin))
        last = int(ipaddress.IPv4Address(end)) if dash else first
    except ValueError as error:
        raise Misconfigured(f"{text} is no range; {_FORMS}") from error
    if last < first:
        raise Misconfigured(f"{text} ends before it begins")
    return first, last


async def discover(
    addresses: Sequence[str],
    driver: Driver,
    *,
    connections_per_s: float = 200.0,
    skip: Container[str] = frozenset(),
    looked_at: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Miner, None]:
    """The machines at these addresses, as they are found; use it within `contextlib.aclosing`.

    Addresses in `skip` are not touched (they are asked when their turn comes). `looked_at` is called after each
    address. What answers but cannot be identified is no machine; if that took long, it is looked at once more in the
    end, because it was most likely this computer that was slow.
    """
    found: asyncio.Queue[Miner | None] = asyncio.Queue()
    pace = Pace(connections_per_s)
    identifying = asyncio.Semaphore(_IDENTIFIED_AT_ONCE)
    waiting = iter(addresses)
    slow: list[str] = []

    async def look() -> None:
        for address in waiting:
            if address not in skip and await _is_anything(address, pace) and not await identified(address):
                slow.append(address)
            looked_at()

    async def identified(address: str) -> bool:
        """Whether it is known what this is: a machine that was found, or nothing of the kind."""
        async with identifying:
            began_s = asyncio.get_running_loop().time()
            if (miner := await _identify(address, driver)) is not None:
                found.put_nowait(miner)
            return miner is not None or asyncio.get_running_loop().time() - began_s < _SLOW_S

    async def look_at_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(_KNOCKING, len(addresses))):
                    group.create_task(look(), name=f"discover {number}")
            async with asyncio.TaskGroup() as group:
                for address in slow[:_MOST_AGAIN]:
                    group.create_task(identified(address), name=f"discover {address} again")
        finally:
            found.put_nowait(None)

    # No TaskGroup here: it would wrap the GeneratorExit of whoever stops early. The task is joined below.
    search = asyncio.create_task(look_at_all(), name="discover")
    try:
        while (miner := await found.get()) is not None:
            yield miner
        await search
    finally:
        search.cancel()
        await asyncio.wait([search])


async def _is_anything(address: str, pace: Pace) -> bool:
    for port in PORTS:
        await pace.turn()
        if await is_open(address, port, _CONNECT_S):
            return True
    return False


async def _identify(address: str, driver: Driver) -> Miner | None:
    try:
        async with asyncio.timeout(_FIND_S):
            return await driver.find(address)
    except (AgentError, TimeoutError):
        return None


class Pace:
    """So many turns a second, evenly."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1 / per_s
        self._next = 0.0

    async def turn(self) -> None:
        now = asyncio.get_running_loop().time()
        at = max(self._next, now)
        self._next = at + self._gap_s
        if at > now:
            await asyncio.sleep(at - now)
