"""Which strings of a machine's answers name its operator or itself: what a leak search has to look for.

Taken: values of fields that hold a name by their meaning (serials, board serials, chip data, the device's DNA
and id, MAC, SSID, host name), whole pool users and their worker part, private pool hosts and the URLs on them.
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
    {"operator", "antminer", "whatsminer", "avalon", "bitaxe", "miner01", "unknown", "localhost"}
)
_SHORTEST: Final = 6
_NAME_KEYS: Final = frozenset(
    {"dna", "hostname", "mac", "macaddr", "macaddress", "miner-sn", "miner_id", "minersn", "pcb_sn", "pcbsn0", "pcbsn1"}
    | {"pcbsn2", "pcbsn3", "power-sn", "powersn", "serial", "serial_number", "serialno", "serinum", "sn", "ssid"}
)
_CHIP_KEYS: Final = frozenset({"chip_data", "chipdata0", "chipdata1", "chipdata2", "chipdata3"})
_USER_KEYS: Final = frozenset({"user", "account", "stratumuser", "fallbackstratumuser", "worker"})
_URL_KEYS: Final = frozenset({"url", "stratum_url", "stratumurl", "fallbackstratumurl"})
_INSIDE: Final = re.compile(r"\bDNA\[([^\]]+)\]")  # Avalon packs its fields into one string


def is_public_pool(host: str) -> bool:
    """Whether everybody may know a pool's host. The agent's own catalogue decides, so that the two agree."""
    return PublicPools().name(host) == host


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
                yield from _names_of(item, name.lower().replace(" ", "_"))
        case list():
            for item in value:
                yield from _names_of(item, key)
        case str():
            yield from _names_under(key, value)


def _names_under(key: str, value: str) -> Iterator[str]:
    if key in _NAME_KEYS:
        yield value
    elif key in _CHIP_KEYS:
        yield value
        yield from value.split()
    elif key in _USER_KEYS:
        yield value
        yield from value.split(".")[1:]
    elif key in _URL_KEYS:
        yield from _private(value)
    for inside in _INSIDE.finditer(value):
        yield inside[1]


def _private(url: str) -> Iterator[str]:
    host = urlsplit(url if "//" in url else f"//{url}").hostname
    if host and not is_public_pool(host):
        yield host
        yield url
