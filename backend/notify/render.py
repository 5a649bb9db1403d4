"""From what there is to tell to a message in its final words, for the channel that carries it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from backend.config import Contact
from backend.notify import gsm, notices
from backend.notify.claims import Claim
from backend.notify.notices import Notice
from backend.notify.protocol import Message
from backend.notify.routing import Channel
from backend.notify.words import Section, headline, sections
from backend.warnings.catalogue import Catalogue
from backend.warnings.severity import Severity

SMS_PARTS: Final = 2

_TEMPLATES: Final = Environment(
    loader=PackageLoader("backend.notify"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class Renderer:
    """Words, links and whom to write to."""

    def __init__(self, catalogue: Catalogue, public_url: str, contact: Contact) -> None:
        self._catalogue = catalogue
        self._page_url = f"{public_url.rstrip('/')}/"
        self._contact = contact
        self._write_to = f"{contact.name} <{contact.email}>" if contact.email else None

    def message(self, claim: Claim, *, now: datetime) -> Message:
        """The message of a claim. The same claim at another time says the same, with the durations of then."""
        if claim.notice is not None:
            return self._notice(claim, claim.notice)
        site = claim.site
        if site is None:
            raise LookupError("a message is about a site or it is a notice")
        new, over, standing = (
            sections(warnings, self._catalogue, site, now)
            for warnings in (claim.agenda.new, claim.agenda.over, claim.agenda.standing)
        )
        label, what = _title(new, over, standing)
        if claim.channel is Channel.SMS:
            wordings = _wordings(site.name, label, what, new or (() if over else standing), self._page_url)
            text = _shortened(wordings)
            html: str | None = None
        else:
            words = self._words(site.name, f"{label}: {what}") | {"new": new, "over": over, "standing": standing}
            text = _TEMPLATES.get_template("warnings.txt").render(words).lstrip()
            html = _TEMPLATES.get_template("warnings.html").render(words).lstrip()
        return Message(
            id=claim.id,
            to=claim.to,
            topic=site.id,
            subject=f"{label} - {site.name}: {what}",
            text=text,
            html=html,
            created_at=claim.created_at,
        )

    def _notice(self, claim: Claim, notice: Notice) -> Message:
        text = notices.text(notice, self._contact.name, self._page_url, self._write_to)
        return Message(
            id=claim.id,
            to=claim.to,
            topic=claim.id,
            subject=notices.subject(notice, self._contact.name),
            text=gsm.plain(text) if claim.channel is Channel.SMS else text,
            html=None,
            created_at=claim.created_at,
        )

    def _words(self, site: str, title: str) -> dict[str, Any]:
        contact = self._contact
        return {
            "title": title,
            "site": site,
            "page_url": self._page_url,
            "service": contact.name,
            "contact": self._write_to,
            "contact_address": contact.email,
        }


def _title(new: tuple[Section, ...], over: tuple[Section, ...], standing: tuple[Section, ...]) -> tuple[str, str]:
    """How bad, and what: "CRITICAL" and "Machine not hashing: mnr-…". A phone shows little: worst first."""
    if new:
        return _worst(new), headline(new) + (f"; resolved: {headline(over)}" if over else "")
    if over:
        return "Resolved", headline(over) + (f"; still: {headline(standing)}" if standing else "")
    return f"Still {_worst(standing)}", headline(standing)


def _worst(parts: tuple[Section, ...]) -> str:
    worst = max((part.severity for part in parts), key=lambda severity: severity.rank)
    return worst.upper() if worst is Severity.CRITICAL else worst.capitalize()


def _wordings(site: str, label: str, what: str, firing: tuple[Section, ...], page_url: str) -> Iterator[str]:
    """A text message in fewer and fewer words: what matters least goes first. `firing` is what the label is about."""
    first = f" First: {firing[0].first}" if len(firing) == 1 and firing[0].first else ""
    item = firing[0].items[0] if len(firing) == 1 and firing[0].count == 1 else None
    since = f" Since {item.since}." if item else ""
    for name in (site, f"{site[:24]}…", f"{site[:10]}…"):
        head = f"{label} {name}: "
        if item and item.says:
            subject = "" if item.name == site else f"{item.name} "
            yield f"{head}{subject}{item.says}.{since}{first} {page_url}"
            yield f"{head}{subject}{item.says}.{since} {page_url}"
        yield f"{head}{what}.{since}{first} {page_url}"
        yield f"{head}{what}.{since} {page_url}"
        yield f"{head}{what}. {page_url}"
        yield f"{head}{what}."


def _shortened(wordings: Iterator[str]) -> str:
    """The first wording that is no more than `SMS_PARTS` long; at worst the beginning of the shortest."""
    text = ""
    for wording in wordings:
        text = gsm.plain(wording)
        if gsm.parts(text) <= SMS_PARTS:
            return text
    while gsm.parts(text) > SMS_PARTS:
        text = text[:-1]
    return text.rstrip()
