"""Replaces what names the operator in free text by the pseudonyms that readings carry, so that support can tell
which machine, worker or pool a line is about and not whose it is.

What the site knows is found in every way it can be written: in any case, with any separators or none, split over lines.
What the site does not know is found by its shape. All that was found is replaced at one time, and where two finds
overlap both go: nothing of a longer name is left because a shorter one is part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from agent import shapes
from agent.identity import canonical_mac
from agent.keyring import Keyring, Kind
from agent.leakguard import address_forms, encoded, mac_forms, pieces, tells
from agent.plaintext import plain
from agent.pools import PublicPools, canonical_address, canonical_host, is_service_label, split_user
from agent.reading import Facts

_PREFIX: Final = 4
"""Letters and digits that a name needs to be looked for everywhere; shorter ones turn up in any log by chance."""

_SHORTEST_WORD: Final = 3


class _Span(NamedTuple):
    start: int
    end: int
    instead: str


class Redactor:
    """Knows a site's names and takes them out of text."""

    def __init__(self, keyring: Keyring, pools: PublicPools) -> None:
        self._keyring = keyring
        self._pools = pools
        self._forms: dict[str, str] = {}  # letters and digits of a name, case folded → what stands instead
        self._lengths: dict[str, set[int]] = {}  # the first letters of a form → how long forms with them are
        self._words: dict[str, str] = {}  # short names, looked for as words of their own
        self._addresses: dict[str, str] = {}

    def know_machine(self, machine: str, names: Iterable[str | None], *, closely: bool = False) -> None:
        """A machine's MAC, serial, host name and address. `closely`: also encoded and in part, which is worth it for
        the machine that a text is from and would hit by chance for a thousand others."""
        for name in filter(None, names):
            mac = canonical_mac(name)
            if address := canonical_address(name):
                self._know_address(address, machine)
            elif mac:
                self._add(machine, *(form for form in mac_forms(mac) if closely and not _is_a_time(form)), mac)
            else:
                self._know_word(name, machine, closely=closely)
            if closely:
                self._add(machine, *encoded(name))

    def know_facts(self, machine: str, facts: Facts) -> None:
        """The machine that the text is from."""
        self.know_machine(machine, (facts.mac, facts.serial, facts.hostname, facts.address), closely=True)

    def know_host(self, text: str) -> None:
        """A pool's host (or URL), unless it is one that may be named."""
        host = canonical_host(text)
        if host is None or self._pools.name(host) is not None:
            return
        pool = self._keyring.pseudonym(Kind.POOL, host)
        if canonical_address(host):
            self._know_address(host, pool)
            return
        self._know_word(host, pool)
        self._add(pool, *(form for form in pieces(host) if not is_service_label(form)))

    def know_user(self, user: str, *, closely: bool = False) -> None:
        """A pool user: its account, its worker and both together. `closely`: also when they are very short."""
        account, worker = split_user(user)
        self._know_word(user, self._user(user), closely=closely)
        if account:
            self.know_name(Kind.ACCOUNT, account, closely=closely)
        if worker:
            self.know_name(Kind.WORKER, worker, closely=closely)

    def know_name(self, kind: Kind, name: str, *, closely: bool = False) -> None:
        """An account or a worker."""
        instead = self._keyring.pseudonym(kind, name)
        self._know_word(name, instead, closely=closely)
        self._add(instead, *(form for form in pieces(name) if not is_service_label(form)))

    def know_secret(self, secret: str) -> None:
        """A password that the agent itself uses."""
        self._know_word(secret, _INSTEAD["secret"], closely=True)

    def redact(self, text: bytes | str) -> str:
        """The text as `plain` makes it, without any name. Takes about a second for a megabyte."""
        shown = plain(text)
        spans = [*self._known(shown), *self._shaped(shown)]
        return "".join(_replaced(shown, spans))

    def _know_address(self, address: str, instead: str) -> None:
        self._addresses.setdefault(address, instead)
        if ":" in address:
            self._add(instead, address)
        else:
            self._add(instead, *address_forms(address.split(".")))

    def _know_word(self, name: str, instead: str, *, closely: bool = False) -> None:
        letters = _squeezed(plain(name))[0]
        if tells(letters):
            self._add(instead, letters)
        elif closely and len(letters) >= _SHORTEST_WORD and not letters.isdigit() and not _is_plain(letters):
            self._words.setdefault(letters, instead)

    def _add(self, instead: str, *forms: str) -> None:
        for form in forms:
            letters = _squeezed(form)[0]
            if len(letters) >= _PREFIX:
                self._forms.setdefault(letters, instead)
                self._lengths.setdefault(letters[:_PREFIX], set()).add(len(letters))

    def _known(self, text: str) -> Iterator[_Span]:
        letters, places = _squeezed(text)
        for at in range(len(letters) - _PREFIX + 1):
            for length in self._lengths.get(letters[at : at + _PREFIX], ()):
                end = at + length
                if end <= len(letters) and (instead := self._forms.get(letters[at:end])):
                    yield _Span(places[at], places[end - 1] + 1, instead)
        if self._words:
            for word in _WORD.finditer(text):
                if instead := self._words.get(_squeezed(word[0])[0]):
                    yield _Span(*word.span(), instead)

    def _shaped(self, text: str) -> Iterator[_Span]:
        for found in shapes.find(text):
            start, end = found.start, found.end
            match found.sort:
                case "address":
                    instead = self._address(found.value)
                case "machine":
                    instead = self._keyring.pseudonym(Kind.MACHINE, found.value)
                case "user":
                    instead = self._user(found.value)
                case "account":
                    instead = self._keyring.pseudonym(Kind.ACCOUNT, found.value)
                case "host":
                    end -= self._public_part(found.value)
                    instead = self._host(found.value)
                case sort:
                    instead = _INSTEAD[sort]
            if start < end:
                yield _Span(start, end, instead)

    def _address(self, address: str) -> str:
        address = canonical_address(address) or address
        return self._addresses.get(address) or self._keyring.pseudonym(Kind.MACHINE, address)

    def _user(self, user: str) -> str:
        account, worker = split_user(user)
        names = ((Kind.ACCOUNT, account), (Kind.WORKER, worker))
        return ".".join(self._keyring.pseudonym(kind, name) for kind, name in names if name) or _INSTEAD["secret"]

    def _host(self, text: str) -> str:
        host = canonical_host(text) or text
        return self._addresses.get(host) or self._keyring.pseudonym(Kind.POOL, host)

    def _public_part(self, text: str) -> int:
        """How many of the host's last characters may stay: a public pool's domain, or all of it."""
        host = canonical_host(text)
        if host is None or host in _OWN:
            return len(text)
        name = self._pools.name(host)
        if name is None or not text.lower().endswith(name):
            return 0
        return len(text) if name == host else len(name) + 1


_INSTEAD: Final = {"secret": "[secret]", "key": "[key]", "path": "/[path]"}
_OWN: Final = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "::"})  # noqa: S104
_WORD: Final = re.compile(r"[^\W_]+")


def _squeezed(text: str) -> tuple[str, list[int]]:
    """The letters and digits alone, case folded, and where in the text each of them stands."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isalnum():
            folded = character.lower() if character.isascii() else _folded(character)
            letters.append(folded)
            places += [place] * len(folded)
    return "".join(letters), places


def _folded(character: str) -> str:
    return "".join(filter(str.isalnum, character.casefold()))


def _is_a_time(form: str) -> bool:
    """Half a MAC that is all digits (`10:00:01`): every other line of a log has that."""
    return len(form) < 8 and form.isdigit()


def _is_plain(letters: str) -> bool:
    """Whether a vendor's word: made long enough to be judged, it still tells nothing."""
    return not tells(letters + letters if len(letters) < _PREFIX else letters)


def _replaced(text: str, spans: list[_Span]) -> Iterator[str]:
    """The text with each run of overlapping spans replaced by what stands for the longest of them."""
    spans.sort()
    done = at = 0
    while at < len(spans):
        yield text[done : spans[at].start]
        longest, done = spans[at], spans[at].end
        while (at := at + 1) < len(spans) and spans[at].start < done:
            if spans[at].end - spans[at].start > longest.end - longest.start:
                longest = spans[at]
            done = max(done, spans[at].end)
        yield longest.instead
    yield text[done:]
