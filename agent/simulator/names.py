"""Which strings of a machine's answers name its operator or itself: what a leak search has to look for.

Taken: values of fields that hold a name by their meaning (serials of machine, boards and power supply, chip
data, the device's own ids, MAC, SSID, host name), whole pool users and their worker part, private pool hosts
and the URLs on them; and wherever they stand, MAC addresses, private IPv4 addresses and Avalon's DNA.
Left out, because finding them elsewhere proves nothing: what is public (a well-known pool's host), and words
that anybody's machine could hold ("root", "operator", "Antminer", "Test"): shorter than 6 letters or listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from agent.pools import PublicPools

_GENERIC: Final = frozenset(
    str.split(
        "antminer avalon bitaxe braiins-os localhost luxos miner01 operator unknown whatsminer worker1 workername"
    )
)
_SHORTEST: Final = 6
_NAME_KEY: Final = re.compile(
    r"serial|serinum|hostname|ssid|uuid|hwid|dna$|^mac|mac_?addr|miner_?id|(^|_|pcb|miner)sn\d*$|chip_?data",
    re.IGNORECASE,
)
_USER_KEY: Final = re.compile(r"user(name)?$|^account$|^worker(name)?$", re.IGNORECASE)
_URL_KEY: Final = re.compile(r"url$", re.IGNORECASE)
_ANYWHERE: Final = (
    re.compile(r"\bDNA\[([^\]]+)\]"),
    re.compile(r"(?<![\w:])((?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})(?![\w:])"),
    re.compile(r"(?<![\d.])((?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3})(?![\d.])"),
)
_POOLS: Final = PublicPools()


def is_public_pool(host: str) -> bool:
    """Whether everybody may know a pool's host. The agent's own catalogue decides, so that the two agree."""
    return _POOLS.name(host) == host


def names_in(texts: Iterable[bytes]) -> tuple[str, ...]:
    """Every name in these answers, each once, in order; texts that are no JSON hold none."""
    found: dict[str, None] = {}
    for text in texts:
        try:
            document = json.loads(text)
        except ValueError:
            continue
        for name in _names_of(document):
            if len(name) >= _SHORTEST and name.lower() not in _GENERIC:
                found[name] = None
    return tuple(found)


def _names_of(value: Any, key: str = "") -> Iterator[str]:
    match value:
        case dict():
            for name, item in value.items():
                yield from _names_of(item, name.replace(" ", "_").replace("-", "_"))
        case list():
            for item in value:
                yield from _names_of(item, key)
        case str():
            yield from _names_under(key, value)


def _names_under(key: str, value: str) -> Iterator[str]:
    if _NAME_KEY.search(key):
        yield value
        yield from value.split()
    elif _USER_KEY.search(key):
        yield value
        yield from value.split(".")[1:]
    elif _URL_KEY.search(key):
        yield from _private(value)
    for pattern in _ANYWHERE:
        for inside in pattern.finditer(value):
            yield inside[1]


def _private(url: str) -> Iterator[str]:
    host = urlsplit(url if "//" in url else f"//{url}").hostname
    if host and not is_public_pool(host):
        yield host
        yield url
