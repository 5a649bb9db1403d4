"""A text message: what matters in two parts at most, whatever the site is called and however much there is to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backend.notify import gsm
from backend.notify.tongue import Tongue
from backend.notify.words import Section

PARTS: Final = 2


def of_warnings(
    site: str,
    label: str,
    what: str,
    firing: tuple[Section, ...],
    tongue: Tongue,
    *,
    acknowledge_url: str | None,
    page_url: str,
) -> str:
    """`firing` is what the label is about; `what` says all of it in one line."""
    return shortened(_wordings(site, label, what, firing, tongue, acknowledge_url or page_url, page_url))


def shortened(wordings: Iterator[str]) -> str:
    """The first wording that is no more than `PARTS` long; at worst the beginning of the shortest."""
    text = ""
    for wording in wordings:
        text = gsm.plain(wording)
        if gsm.parts(text) <= PARTS:
            return text
    while gsm.parts(text) > PARTS:
        text = text[:-1]
    return text.rstrip()


def _wordings(
    site: str, label: str, what: str, firing: tuple[Section, ...], tongue: Tongue, link: str, page_url: str
) -> Iterator[str]:
    """In fewer and fewer words: what matters least goes first."""
    say = tongue.say
    first = say(" First: {first}", first=firing[0].first) if len(firing) == 1 and firing[0].first else ""
    item = firing[0].items[0] if len(firing) == 1 and firing[0].count == 1 else None
    since = say(" Since {since}.", since=item.since_briefly) if item else ""
    for name in (site, f"{site[:24]}…", f"{site[:10]}…"):
        head = say("{label} {site}: ", label=label, site=name)
        whats = [say("{what}.", what=what)]
        if item and item.says:
            subject = "" if item.name == site else f"{item.name} "
            whats.insert(0, say("{what}.", what=f"{subject}{item.says}"))
        for each in whats:
            yield f"{head}{each}{since}{first} {link}"
            yield f"{head}{each}{since} {link}"
        yield f"{head}{whats[-1]} {link}"
        if link != page_url:
            yield f"{head}{whats[-1]} {page_url}"
        yield f"{head}{whats[-1]}"
