"""What looks like a name in free text, though nobody told us that it is one.

Addresses, MACs, e-mail and wallet addresses, pool URLs, keys and their fingerprints, passwords, and what follows words
such as "serial" or "worker". It is better to take a version number for an address than an address for a version number.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from agent.identity import canonical_mac
from agent.leakguard import tells

Sort = Literal["machine", "address", "host", "user", "account", "secret", "key", "path"]


class Found(NamedTuple):
    """A piece of text and what it seems to be."""

    start: int
    end: int
    sort: Sort
    value: str


def find(text: str) -> Iterator[Found]:
    """Every piece that looks like a name, in no order; pieces may overlap. `text` is as `plaintext.plain` gives it."""
    for shape in _SHAPES:
        yield from shape(text)


def _matches(
    sort: Sort, pattern: str, *, keep: Callable[[str], bool] = lambda _: False
) -> Callable[[str], Iterator[Found]]:
    """A shape that is one pattern: its groups named `value…`, or all of it; not those that `keep` says tell nothing."""
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    names: list[str | int] = [name for name in compiled.groupindex if name.startswith("value")]
    names = names or [0]

    def shape(text: str) -> Iterator[Found]:
        for match in compiled.finditer(text):
            for name in names:
                if (value := match[name]) and not keep(value):
                    yield Found(*match.span(name), sort, value)

    return shape


def _is_plain(value: str) -> bool:
    return not tells(re.sub(r"[\W_]", "", value).lower()) and len(value) < 12


def _is_one_word(value: str) -> bool:
    return value.islower() or value.isupper() or not re.search(r"\d", value)


def _is_no_plate(value: str) -> bool:
    """Serial numbers on boards and supplies are 12 and more capitals and digits, and no hexadecimal number."""
    return len(value) < 12 or len(re.findall(r"\d", value)) < 2 or not re.search("[G-Z]", value)


def _is_no_serial(value: str) -> bool:
    return not re.search(r"\d", value)


def _is_word(value: str) -> bool:
    return not re.search(r"[\d._@-]", value) or _is_plain(value)


_WORD = r"""[^\s"'<>()\[\]{},;=:/\\@]"""
_BEFORE = r"(?<![^\W_])"
_AFTER = r"(?![^\W_])"
_HOST = r"(?<![\w.-])\.*"  # from where the run of letters and dots begins, so that each is looked at once
_IS = r"""\\?["']?[ \t]*(?:=>|[:=]+)[ \t]*"""
_VALUE = r"""(?:\\?(?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote)).)+)|(?P<value_bare>[^\s,;"'\\\])}]+))"""
_TO_A_BLANK = r"""(?:\\?(?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote)).)+)|(?P<value_bare>[^\s"']\S*))"""


def _urls(text: str) -> Iterator[Found]:
    """Of a URL: who logs in where, and the path, which holds keys and tokens. The scheme and the port stay."""
    for match in _URL.finditer(text):
        for name, sort in _URL_PARTS.items():
            if match[name]:
                yield Found(*match.span(name), sort, match[name])


_URL: Final = re.compile(
    r"[a-z][a-z0-9+.-]{1,30}:(?:\\?/){2}"
    r"(?:(?P<user>[^\s\"'<>/@:]+)(?::(?P<password>[^\s\"'<>/@]*))?@)?"
    r"(?P<host>\[[0-9a-f:.%]+\]|[^\s\"'<>/:@,;()\\]+)?(?::\d{1,5})?"
    r"(?P<path>[/?#][^\s\"'<>,;)]+)?",
    re.IGNORECASE,
)
_URL_PARTS: Final[dict[str, Sort]] = {"user": "user", "password": "secret", "host": "host", "path": "path"}


def _mails(text: str) -> Iterator[Found]:
    """E-mail addresses, and `root@host`; what stands before a host in a URL is for `_urls`."""
    urls = iter([*(match.span() for match in _URL.finditer(text)), (len(text), len(text))])
    begin, end = next(urls)
    for match in _MAIL.finditer(text):
        while end <= match.start():
            begin, end = next(urls)
        if match.end() <= begin:
            yield Found(*match.span(), "user", match[0])


_MAIL: Final = re.compile(rf"(?<!{_WORD}){_WORD}*@{_WORD}+")


def _macs(text: str) -> Iterator[Found]:
    for match in _MAC.finditer(text):
        if mac := canonical_mac(match[0]):
            yield Found(*match.span(), "machine", mac)
        elif re.search(r"[^0f:.-]", match[0], re.IGNORECASE):  # more than six pairs: a longer hardware address
            yield Found(*match.span(), "key", match[0])


_MAC: Final = re.compile(
    rf"{_BEFORE}(?:[0-9a-f]{{1,2}}(?:[:-][0-9a-f]{{1,2}}){{5,}}|[0-9a-f]{{4}}(?:[.:-][0-9a-f]{{4}}){{2}}"
    rf"|(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{{12}}){_AFTER}",
    re.IGNORECASE,
)


def _ipv4(text: str) -> Iterator[Found]:
    """Dotted runs of four numbers and more (a port behind the address, as tcpdump writes it); also with - or _."""
    for match in _IPV4.finditer(text):
        numbers = [int(number) for number in re.split(r"[._-]", match[0])]
        for first in range(len(numbers) - 3):
            octets = numbers[first : first + 4]
            if max(octets) > 255 or (match["joint"] != "." and octets[0] not in _PRIVATE_FIRST):
                continue
            address = ".".join(map(str, octets))
            if address not in _NOBODYS:
                yield Found(*match.span(), "address", address)
                break


_IPV4: Final = re.compile(r"(?<!\d)\d{1,3}(?P<joint>[._-])\d{1,3}(?P=joint)\d{1,3}(?:(?P=joint)\d{1,5})+(?!\d)")
_PRIVATE_FIRST: Final = (10, 100, 169, 172, 192)
_NOBODYS: Final = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104


def _ipv6(text: str) -> Iterator[Found]:
    for match in _IPV6.finditer(text):
        for start, end in _without_colons(*match.span(), text):
            try:
                address = str(ipaddress.IPv6Address(text[start:end]))
            except ValueError:
                continue
            is_path = text[start : start + 2] == "::" and text[start - 1 : start].isalnum()  # crate::fan
            if address not in _NOBODYS and not is_path:
                yield Found(start, end, "address", address)
            break


def _without_colons(start: int, end: int, text: str) -> Iterator[tuple[int, int]]:
    """The run, then without the colons at its ends that may belong to the text: `addr:fe80::1: no route`."""
    for begin in range(start, start + 3):
        for finish in (end, end - 1):
            if set(text[start:begin] + text[finish:end]) <= {":"}:
                yield begin, finish


_IPV6: Final = re.compile(r"(?<![0-9a-f:])(?:[0-9a-f]{0,4}:){2,8}[0-9a-f]{0,4}(?!\.\d|[0-9a-z])", re.IGNORECASE)


def _authorizations(text: str) -> Iterator[Found]:
    """The user and the password in a pool conversation that a miner logs: `"params": ["account.worker", "x"]`."""
    for line in _POOL_TALK.finditer(text):
        for match in _PARAMS.finditer(text, line.start(), line.end()):
            yield Found(*match.span("user"), "user", match["user"])
            if match["rest"]:
                yield Found(*match.span("rest"), "secret", match["rest"])


_POOL_TALK: Final = re.compile(r"^.*mining\.(?:authorize|submit).*$", re.MULTILINE | re.IGNORECASE)
_PARAMS: Final = re.compile(
    r"""params\\?["']?\s*[:=]?\s*\[\s*\\?["'](?P<user>[^"'\\]+)\\?["']\s*(?:,\s*(?P<rest>[^\]\n]+))?""", re.IGNORECASE
)

_SHAPES: Final[tuple[Callable[[str], Iterator[Found]], ...]] = (
    _urls,
    _mails,
    _macs,
    _ipv4,
    _ipv6,
    _authorizations,
    _matches("key", r"-----BEGIN [A-Z0-9 ]+-----(?:[^-]|-(?!----))*(?:-----END [A-Z0-9 ]+-----)?"),
    _matches("key", r"(?:ssh-\w+|ecdsa-sha2-\w+)[ \t]+AAAA[A-Za-z0-9+/=]+(?:[ \t]+\S+@\S+)?|AAAA[A-Za-z0-9+/]{40,}=*"),
    _matches("key", r"(?:SHA256|SHA1|MD5):[A-Za-z0-9+/:]{20,}=*"),
    _matches("key", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),  # a JSON web token
    _matches("account", rf"{_BEFORE}(?:(?:bc1|tb1|bcrt1|ltc1|kaspa:)[0-9a-z]{{20,90}}|0x[0-9a-f]{{40}}){_AFTER}"),
    _matches("account", rf"{_BEFORE}(?-i:[123mnLMDXtA][1-9A-HJ-NP-Za-km-z]{{25,34}}){_AFTER}", keep=_is_one_word),
    _matches("machine", rf"{_BEFORE}[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}{_AFTER}"),
    _matches("machine", rf"{_BEFORE}(?-i:[0-9A-Z]{{4,}}(?:-[0-9A-Z]{{4,}})*){_AFTER}", keep=_is_no_plate),
    # Words that say what follows.
    _matches("secret", rf"(?:pass(?:word|wd|phrase)?|pwd|psk|secret|token|(?:api|private)[ _-]?key){_IS}{_TO_A_BLANK}"),
    _matches("secret", r"""pass(?:word|wd|phrase)?[ \t]+(?:is[ \t]+(?P<value>\S+)|["'](?P<value_quoted>[^"'\n]+))"""),
    _matches("secret", r"(?:authorization|cookie)[ \t]*[:=][ \t]*(?P<value>[^\n]+)"),
    _matches("secret", rf"{_BEFORE}(?:basic|bearer)[ \t]+(?P<value>[A-Za-z0-9+/=._-]{{6,}})"),
    _matches("secret", r"(?<!\S)(?:-p|--?pass\w*|--?token|--?psk)[ \t=]+(?P<value>\S+)"),
    _matches("user", r"(?<!\S)(?:-u|--?user\w*)[ \t=]+(?P<value>[^\s:]+)", keep=_is_plain),
    _matches(
        "machine",
        r"(?<![a-z])(?:serial(?:[ _-]?(?:no|num|number|nr))?|s/n|sn|dna|hwid|(?:machine|device|unique)[ _-]?id)"
        r"[\W_]{1,6}(?:is[ \t]+)?(?P<value>[0-9a-z][0-9a-z_.-]{4,63})",
        keep=_is_no_serial,
    ),
    _matches(
        "user",
        rf"(?:user(?:[ _-]?name)?|worker(?:[ _-]?(?:name|id))?|account(?:[ _-]?name)?|login){_IS}{_VALUE}",
        keep=_is_plain,
    ),
    _matches(
        "user",
        r"""authori[sz](?:e|ed|ing)[ \t]+(?:(?:worker|user|miner)[ \t]+)?["']?(?P<value>[^\s"',;]+)""",
        keep=_is_word,
    ),
    _matches("account", rf"(?:wallet|payout)(?:[ _-]?address)?{_IS}{_VALUE}", keep=_is_plain),
    _matches("machine", rf"(?:host[ _-]?name|node[ _-]?name|e?ssid){_IS}{_VALUE}", keep=_is_plain),
    # syslog's second column: the host, before `kernel:`, `prog[1]:` or `user.info`.
    _matches(
        "machine",
        r"^(?:<\d+>)?(?:[a-z]{3} [ \d]?\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*) "
        r"(?P<value>\S+)(?= (?:[\w./-]+(?:\[\d+\])?:|[a-z]+\d?\.[a-z]+ ))",
        keep=lambda value: _is_plain(value) or value.isupper(),
    ),
    # Host names without a URL: with a port behind, or under a domain that hosts have.
    _matches(
        "host",
        rf"{_HOST}(?P<value>(?:[a-z0-9_-]+\.)+(?!(?:c|h|cc|cpp|go|rs|py|js|ts|lua|sh)\b)[a-z][a-z0-9-]*)\.?:\d{{2,5}}{_AFTER}",
    ),
    _matches(
        "host",
        rf"{_HOST}(?P<value>(?:[a-z0-9_-]+\.)+(?:com|net|org|biz|io|top|xyz|tech|online|site|cloud|farm|pool|local"
        rf"|lan|internal|home|corp|example|invalid|eu|us|uk|de|fr|nl|ru|cn|kz|ua|ca|br)){_AFTER}(?!\.\w)",
    ),
)
