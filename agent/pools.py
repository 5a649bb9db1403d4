"""Mining pools as machines name them: which host, whose account, and which of them the world knows anyway.

A pool's host leaves the site by name only when it is a well-known public pool; any other host names its
operator and leaves as `pol-…`. Accounts and workers never leave by name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from agent.reading import RawPool

PUBLIC: Final = frozenset(
    str.split("""
    1thash.top 2miners.com antpool.com bitdeer.com bitfufu.com braiins.com btc.com ckpool.org cloverpool.com
    dxpool.com dxpool.net emcd.io ethermine.org ezil.me f2pool.com flexpool.io foundrydigital.com
    foundryusapool.com herominers.com hiveon.com hiveon.net hpt.com innopolis.tech k1pool.com kano.is
    kryptex.network kupool.com litecoinpool.org luxor.tech marapool.com mining-dutch.nl miningpoolhub.com
    miningrigrentals.com molepool.com nanopool.org neopool.com nicehash.com ocean.xyz okpool.me poolbinance.com
    poolin.com poolin.me poolin.one prohashing.com public-pool.io rawpool.com sbicrypto.com secpool.com sigmapool.com
    slushpool.com solopool.org sparkpool.com spiderpool.com ultimuspool.com unmineable.com viabtc.com viabtc.io
    viabtc.net viabtc.top whitebit.com woolypooly.com zergpool.com zpool.ca
    """)
)
"""Registrable domains of pools that anybody can join. The name says which pool, not whose machine."""

_SERVICE_WORDS: Final = frozenset(
    str.split("""
    africa america as asia au auto backup bch bitcoin br btc ca central ch ckb cloud cn de dgb direct doge east etc
    eth eu euro europe fi fpps fr global hk hub in intl ir jp kas kaspa kr kz latam litecoin ltc merge mine miner
    mining my na nl no north ny pool pplns pps proxy public ru scrypt sg sha256 sha256d solo south ss ssl stratum
    sv2 tcp th tls tr tw ua uae uk us usa v1 v2 vip vn west www x11 za zec
    """)
)
"""Words that pools use in host names for services, coins and regions. A label of any other word may name a customer."""

_NONE: Final = frozenset({"", "*", "-", "none", "null", "n/a", "undefined"})
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://|^//")
_PUBLIC_NAME = re.compile(r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
_MAIL_TLDS: Final = frozenset(str.split("com net org io co info biz dev app me xyz mail edu gov email online"))
_SECOND_LEVEL: Final = frozenset(str.split("co com net org ac gov edu"))


@lru_cache(maxsize=8_192)
def canonical_host(text: str) -> str | None:
    """The host of a pool URL, in one form however it was written; None when there is none.

    Lower case, without scheme, user part, port, path and trailing dot; IDNA for other scripts; an IP address
    in its shortest form without zone or brackets.
    """
    if text.strip().lower() in _NONE:
        return None
    rest = _authority(text).rpartition("@")[2]
    if rest.startswith("["):
        host = rest[1:].partition("]")[0]
    elif rest.count(":") > 1:
        host = rest  # a bare IPv6 address
    else:
        host = rest.partition(":")[0]
    host = host.strip().rstrip(".")
    if host in _NONE:  # a scheme or a port alone
        return None
    return canonical_address(host) or _idna(host)


@lru_cache(maxsize=32_768)
def canonical_address(text: str) -> str | None:
    """An IP address in its shortest form, IPv4 inside IPv6 unwrapped; None when the text is no IP address."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def url_user(text: str) -> str | None:
    """The user in a pool URL (`stratum+tcp://account.worker:x@host`), for firmware that keeps it there."""
    rest = _SCHEME.sub("", text.strip(), count=1)
    user, at, _ = rest.split("/", 1)[0].rpartition("@")
    return (user.partition(":")[0] or None) if at else None


@lru_cache(maxsize=32_768)
def split_user(user: str) -> tuple[str | None, str | None]:
    """A pool user as (account, worker); either may be None.

    `account.worker`, `bc1….worker`, and e-mail accounts, whose domain holds dots of its own.
    """
    user = user.strip()
    if user.lower() in _NONE:
        return None, None
    local, at, domain = user.rpartition("@")
    if at and local:
        labels = domain.split(".")
        cut = _mail_domain_labels(labels)
        account, worker = f"{local}@{'.'.join(labels[:cut])}", ".".join(labels[cut:])
    else:
        account, _, worker = user.partition(".")
    return canonical_account(account) or None, worker.strip() or None


def canonical_account(account: str) -> str:
    """Bech32 and hex wallet addresses and e-mail addresses mean the same in any case; other accounts are kept."""
    account = account.strip()
    lower = account.lower()
    if lower.startswith(("bc1", "ltc1", "tb1", "0x", "kaspa:")) or "@" in account:
        return lower
    return account


class PublicPools:
    """Which pools may be named, and which ones the operator expects machines to use.

    `public` adds hosts (with their sub-domains) to the catalogue. `expected` entries are `host` or
    `account@host`; a host stands for its sub-domains as well.
    """

    def __init__(self, public: Iterable[str] = (), expected: Iterable[str] = ()) -> None:
        self._own = frozenset(filter(None, (canonical_host(host) for host in public)))
        self._expected = tuple(_expectation(entry) for entry in expected)
        self._named = lru_cache(maxsize=4_096)(self._name)

    def name(self, host: str) -> str | None:
        """What a canonical host may be called outside the site; None when only its pseudonym may leave.

        Of a catalogued pool, labels that are not plain service words are left out: `acme.antpool.com`
        leaves as `antpool.com`. A host that the operator declared public leaves as it is.
        """
        return self._named(host)

    def _name(self, host: str) -> str | None:
        if len(host) > 100 or not _PUBLIC_NAME.match(host) or canonical_address(host):
            return None
        if any(_within(host, own) for own in self._own):
            return host
        labels = host.split(".")
        for cut in range(len(labels) - 1):
            domain = ".".join(labels[cut:])
            if domain in PUBLIC:
                return host if all(map(is_service_label, labels[:cut])) else domain
        return None

    def as_expected(self, pools: Iterable[RawPool]) -> bool | None:
        """Whether every configured pool is one that the operator expects; None when that cannot be said."""
        if not self._expected:
            return None
        seen = [(host, account_of(pool)) for pool in pools if pool.url and (host := canonical_host(pool.url))]
        return all(self._expects(host, account) for host, account in seen) if seen else None

    def _expects(self, host: str, account: str | None) -> bool:
        return any(_within(host, where) and (who is None or who == account) for who, where in self._expected)


def user_of(pool: RawPool) -> str | None:
    """The pool's user: its own field, else the user part of its URL."""
    return pool.user or (url_user(pool.url) if pool.url else None)


def account_of(pool: RawPool) -> str | None:
    """The account of a pool's user, in one form."""
    user = user_of(pool)
    return split_user(user)[0] if user else None


def _authority(text: str) -> str:
    rest = _SCHEME.sub("", text.strip().lower(), count=1)
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _idna(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def is_service_label(label: str) -> bool:
    """`btc-eu`, `stratum2`, `us-east-1`: words of the list, each with at most two digits behind it."""
    words = re.sub(r"-\d{1,2}(?=-|$)", "", label).split("-")
    return all(word in _SERVICE_WORDS or re.sub(r"\d{1,2}$", "", word) in _SERVICE_WORDS for word in words)


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)


def _expectation(entry: str) -> tuple[str | None, str]:
    account, _, host = entry.strip().rpartition("@")
    return (canonical_account(account) if account else None), canonical_host(host) or host


def _mail_domain_labels(labels: list[str]) -> int:
    """How many labels after the `@` belong to the mail domain; what follows is the worker."""
    for at in range(1, len(labels)):
        label = labels[at].lower()
        following = labels[at + 1].lower() if at + 1 < len(labels) else ""
        if label in _SECOND_LEVEL and re.fullmatch("[a-z]{2}", following):
            return at + 2
        if label in _MAIL_TLDS or re.fullmatch("[a-z]{2}", label):
            return at + 1
    return min(2, len(labels))
