"""The last look at text before it leaves: does it hold a name that the site gave to something?

Model, firmware and the like are what a machine says of itself, so a hostile or a careless firmware can
put its MAC, its address or its worker there. A field that holds one of them, whole or in an encoding that
anybody can undo, is dropped. This is the second line: the first is that such fields are few and bounded.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from agent.identity import canonical_mac
from agent.pools import canonical_address

_PLAIN: Final = re.compile(
    "(?:antminer|bitmain|whatsminer|microbt|avalon|avalonminer|canaan|bitaxe|nerdqaxe|innosilicon|goldshell|auradine"
    "|epic|iceriver|hammer|volcminer|elphapex|fluminer|luckyminer|braiins|braiinsos|bosminer|luxos|luxminer|vnish"
    "|marathon|hiveon|mskminer|cgminer|bmminer|btminer|miner|asic|rig|worker|stock|default|root|admin|user|none|unknown"
    "|s9|s11|s15|s17|s19|s21|s23|t9|t15|t17|t19|t21|l3|l7|l9|l11|k5|k7|z9|z11|z15|d7|d9|e9|e11|m[2-7]\\d|1[0-9]46|1[0-9]66"
    "|supra|ultra|gamma|hex|max|pro|plus|xp|hydro|hyd|imm|se|[ijks])+"
)
"""What vendors call things. Stock host names ("Antminer") and workers named for the model ("s19jpro") say nothing
about whose machine it is, so they do not cost the model its name."""

_SHORTEST: Final = 4
_SHORTEST_DIGITS: Final = 6
"""Shorter identifiers ("001", "r2") turn up in any version number by chance."""

_MAC = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}(?![0-9a-fA-F])")
_PRIVATE_ADDRESS = re.compile(
    r"(?<![\d.])(?:10\.\d{1,3}|127\.\d{1,3}|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}(?![\d.])"
)
_WALLET = re.compile(r"(?:bc1|ltc1|0x|kaspa)[0-9a-z]{24,}|[13][1-9A-HJ-NP-Za-km-z]{25,33}")


class Names(NamedTuple):
    """What one machine is called at its site; empty strings are left out."""

    machine: tuple[str, ...]  # MAC, serial, host name, address: as the machine wrote them
    pools: tuple[str, ...]  # pool hosts that may not be named, users, accounts, workers


@lru_cache(maxsize=65_536)  # of ten thousand machines: their own texts, and each pool's name
def leaking(names: Names, texts: tuple[str | None, ...]) -> frozenset[str]:
    """Those of the texts that hold one of the names, or what looks like a MAC, a private address or a wallet."""
    patterns = _forms(names)
    return frozenset(text for text in texts if text and (_looks_like_a_name(text) or _holds(text, patterns)))


class _Forms(NamedTuple):
    squeezed: frozenset[str]  # looked for in the text's letters and digits alone
    addresses: tuple[re.Pattern[str], ...]  # looked for in the text itself


def _holds(text: str, forms: _Forms) -> bool:
    for candidate in (text, unquote_plus(text)):
        squeezed = _squeeze(candidate)
        if any(form in squeezed or form in squeezed[::-1] for form in forms.squeezed):
            return True
        if any(pattern.search(candidate) for pattern in forms.addresses):
            return True
    return False


def _looks_like_a_name(text: str) -> bool:
    return "@" in text or "://" in text or any(look.search(text) for look in (_MAC, _PRIVATE_ADDRESS, _WALLET))


def _forms(names: Names) -> _Forms:
    squeezed: set[str] = set()
    addresses: list[re.Pattern[str]] = []
    for name in names.machine + names.pools:
        address = canonical_address(name)
        if address and ":" not in address:
            octets = address.split(".")
            addresses.append(
                re.compile(r"(?<!\d)" + r"\D{1,3}".join(f"0{{0,2}}{octet}" for octet in octets) + r"(?!\d)")
            )
            squeezed.update(address_forms(octets))
        elif mac := canonical_mac(name):
            squeezed.update(mac_forms(mac))
        elif (plain := _squeeze(address or name)) and tells(plain):
            squeezed.add(plain)
        squeezed.update(encoded(name))
    squeezed.update(piece for name in names.machine + names.pools for piece in pieces(name))
    return _Forms(frozenset(squeezed), tuple(addresses))


def tells(plain: str) -> bool:
    """Whether letters and digits are enough, and particular enough, to tell whose they are."""
    if len(plain) < (_SHORTEST_DIGITS if plain.isdigit() else _SHORTEST):
        return False
    return _PLAIN.fullmatch(plain) is None


def mac_forms(mac: str) -> Iterator[str]:
    """A canonical MAC as letters and digits that anybody can read it from."""
    yield mac
    yield mac[6:]  # the half that is the machine's own, the other is its vendor's
    yield str(int(mac, 16))
    yield _squeeze(base64.b64encode(bytes.fromhex(mac)).decode())


def pieces(name: str) -> Iterator[str]:
    """The words of an account, a worker or a host: `acme-mining` of `pool.acme-mining.example`."""
    for word in re.split(r"[@.]", name):
        if len(piece := _squeeze(word)) > _SHORTEST and tells(piece):
            yield piece


def address_forms(octets: list[str]) -> Iterator[str]:
    """An IPv4 address without its dots: in hex, as one number, with zeros, and run together."""
    number = bytes(map(int, octets))
    yield number.hex()
    yield str(int.from_bytes(number, "big"))
    yield "".join(octet.zfill(3) for octet in octets)
    if len(run := "".join(octets)) > _SHORTEST_DIGITS:
        yield run


def encoded(name: str) -> Iterator[str]:
    """The name's bytes in hex, in base32, and in base64 at each of its three alignments; in each usual case."""
    if not tells(_squeeze(name)):
        return
    bare = re.sub(r"[^0-9A-Za-z]", "", name)
    for text in {name, name.lower(), name.upper(), bare, bare.lower(), bare.upper()}:
        data = text.encode(errors="surrogatepass")
        yield data.hex()
        yield _squeeze(base64.b32encode(data).decode())
        for shift in range(3):
            start = -(-shift * 8 // 6)
            core = base64.b64encode(b"\0" * shift + data)[start:].decode().rstrip("=")[:-1]
            if len(form := _squeeze(core)) >= _SHORTEST_DIGITS:
                yield form


def _squeeze(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
