"""Which machines a farm has, at which addresses: so many of each family, or every recording of a folder."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from agent.errors import Misconfigured
from agent.simulator.capture import capture_machine, captures_in
from agent.simulator.contract import SEEDS_OF_A_FARM
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.machine import Machine, wall_clock

DEFAULT_MIX: Final = {"whatsminer": 14, "whatsminer-v3": 6, "avalon": 20, "antminer": 15, "bitaxe": 5}
_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")


def addresses(base: str) -> Iterator[str]:
    """Addresses from `base` on, without those that end in .0 or .255.

    Raises `Misconfigured` when the base is no loopback address, or there are no more of them.
    """
    try:
        address = ipaddress.IPv4Address(base)
    except ValueError as error:
        raise Misconfigured(f"{base} is no IPv4 address") from error
    while address in _LOOPBACK:
        if address.packed[3] not in (0, 255):
            yield str(address)
        address += 1
    raise Misconfigured(f"from {base} on there are too few loopback addresses (127.0.0.1 to 127.255.255.254)")


def mix_of(text: str) -> dict[str, int]:
    """`whatsminer:20,avalon:5` → how many of each. Raises `Misconfigured` when it does not say that."""
    mix: dict[str, int] = {}
    for part in text.split(","):
        family, _, count = part.strip().partition(":")
        if family not in FAMILIES:
            raise Misconfigured(f"no family {family!r}: choose from {', '.join(FAMILIES)}")
        if not count.isdigit() or family in mix:
            raise Misconfigured(f"{part.strip()!r}: write each family once, as {family}:10")
        mix[family] = int(count)
    return mix


def shared_out(mix: Mapping[str, int], machines: int) -> dict[str, int]:
    """The same proportions for another number of machines; the sum is exactly that number."""
    whole = sum(mix.values())
    if whole == 0:
        raise Misconfigured("the mix holds no machine")
    exact = {family: machines * count / whole for family, count in mix.items()}
    shares = {family: int(share) for family, share in exact.items()}
    by_remainder = sorted(exact, key=lambda family: shares[family] - exact[family])
    for family in by_remainder[: machines - sum(shares.values())]:
        shares[family] += 1
    return shares


def family_machines(
    mix: Mapping[str, int], *, base: str, seed: int, clock: Callable[[], datetime] = wall_clock
) -> list[Machine]:
    """So many machines of each family, in the mix's order, at consecutive addresses."""
    families = [family for family, count in mix.items() for _ in range(count)]
    places = zip(families, addresses(base), range(seed * SEEDS_OF_A_FARM, (seed + 1) * SEEDS_OF_A_FARM), strict=False)
    return [family_machine(family, address, number, clock=clock) for family, address, number in places]


def capture_machines(
    folder: Path, machines: int | None, *, base: str, seed: int, clock: Callable[[], datetime] = wall_clock
) -> list[Machine]:
    """One machine for each recording, or so many machines that replay them in turn."""
    recordings = captures_in(folder)
    chosen = islice(cycle(recordings), machines if machines is not None else len(recordings))
    return [
        capture_machine(recording, address, seed * SEEDS_OF_A_FARM + number, clock=clock)
        for number, (recording, address) in enumerate(zip(chosen, addresses(base), strict=False))
    ]
