"""From what there is to tell to a message in its final words, for the channel that carries it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from backend.config import Contact
from backend.notify import alertmanager, notices, texts
from backend.notify.agenda import Agenda
from backend.notify.bills import lines
from backend.notify.claim import Claim
from backend.notify.digests import Digest
from backend.notify.links import Links
from backend.notify.notices import Notice
from backend.notify.protocol import Image, Message
from backend.notify.routing import Channel
from backend.notify.tongue import Tongue
from backend.notify.words import Section, headline, sections
from backend.registry.site_tables import Site
from backend.warnings.catalogue import Catalogue
from backend.warnings.severity import Severity

TEMPLATES: Final = Environment(
    loader=PackageLoader("backend.notify"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_DIGEST_ITEMS: Final = 12  # machines of one site and rule are a number soon: the page has them all


class Renderer:
    """Words, links and whom to write to."""

    def __init__(self, catalogue: Catalogue, links: Links, contact: Contact) -> None:
        self._catalogue = catalogue
        self._links = links
        self._contact = contact
        self._write_to = f"{contact.name} <{contact.email}>" if contact.email else None

    def message(self, claim: Claim, *, now: datetime, image: Image | None = None) -> Message:
        """The message of a claim. The same claim at another time says the same, with the durations of then."""
        zone = claim.contact.time_zone if claim.contact is not None else "UTC"
        tongue = Tongue.of(claim.language, zone)
        if claim.notice is not None:
            return self._notice(claim, claim.notice, tongue)
        if claim.digest is not None:
            return self._digest(claim, claim.digest, tongue, now)
        if claim.site is None:
            raise LookupError("a message is about a site, or it is a notice or a digest")
        return self._warnings(claim, claim.site, tongue, now, image)

    def _warnings(self, claim: Claim, site: Site, tongue: Tongue, now: datetime, image: Image | None) -> Message:
        new, over, standing = (
            sections(warnings, self._catalogue, site, now, tongue)
            for warnings in (claim.agenda.new, claim.agenda.over, claim.agenda.standing)
        )
        acknowledge = self._links.acknowledge(claim.id) if new or standing else None
        if claim.is_last:
            label, what = tongue.say("No more texts today"), tongue.say("the limit of your account is reached")
        else:
            since = _since(claim.agenda, tongue, now) if claim.channel is not Channel.SMS else None
            label, what = _title(new, over, standing, tongue, since)
        html = secret = None
        match claim.channel:
            case Channel.WEBHOOK:
                text = alertmanager.document(claim, site, self._catalogue, self._links.page, tongue, now=now)
                secret = claim.contact.secret if claim.contact is not None else None
            case Channel.SMS:
                firing = new or (() if over else standing)
                text = texts.of_warnings(
                    site.name, label, what, firing, tongue, acknowledge_url=acknowledge, page_url=self._links.page
                )
            case Channel.EMAIL:
                words = self._words(tongue.say("{title}: {name}", title=label, name=what), tongue)
                words |= {"site": site.name, "opening": None if over and not new else next(iter(new or standing), None)}
                words |= {"new": new, "over": over, "standing": standing, "acknowledge_url": acknowledge}
                words["image"] = image
                text = TEMPLATES.get_template("warnings.txt").render(words).lstrip()
                html = TEMPLATES.get_template("warnings.html").render(words).lstrip()
        return Message(
            id=claim.id,
            to=claim.to,
            topic=site.id,
            subject=tongue.say("{label} - {site}: {what}", label=label, site=site.name, what=what),
            text=text,
            html=html,
            image=image if html is not None else None,
            secret=secret,
            created_at=claim.created_at,
        )

    def _digest(self, claim: Claim, digest: Digest, tongue: Tongue, now: datetime) -> Message:
        parts = []
        for site, warnings in digest.sites:
            active = [warning for warning in warnings if warning.resolved_at is None]
            over = [warning for warning in warnings if warning.resolved_at is not None]
            made = [sections(each, self._catalogue, site, now, tongue, _DIGEST_ITEMS) for each in (active, over)]
            parts.append({"name": site.name, "active": made[0], "over": made[1]})
        count = sum(len(warnings) for _, warnings in digest.sites)
        is_weekly = digest.every == "weekly"
        what = tongue.say("Warnings of the week") if is_weekly else tongue.say("Warnings of the day")
        contact = claim.contact
        stop = self._links.stop_digest(contact.id) if contact is not None else None
        words = self._words(tongue.say("{what}: {count}", what=what, count=count), tongue)
        words |= {
            "sites": parts,
            "costs": lines(digest.costs, tongue),
            "since": tongue.moment(digest.since),
            "until": tongue.moment(digest.until),
            "stop_url": stop,
        }
        return Message(
            id=claim.id,
            to=claim.to,
            topic="digest",
            subject=f"{self._contact.name} - {words['title']}",
            text=TEMPLATES.get_template("digest.txt").render(words).lstrip(),
            html=TEMPLATES.get_template("digest.html").render(words).lstrip(),
            created_at=claim.created_at,
            unsubscribe_url=stop,
        )

    def _notice(self, claim: Claim, notice: Notice, tongue: Tongue) -> Message:
        if claim.channel is Channel.WEBHOOK:
            return self._ping(claim)
        is_text = claim.channel is Channel.SMS
        words = notices.text(notice, self._contact.name, self._links.page, tongue)
        if not is_text:
            foot = tongue.say("Questions or objections: {contact}", contact=self._write_to) if self._write_to else ""
            words = f"{words}\n-- \n{self._contact.name}\n{foot}\n"  # RFC 3676: "-- " begins a signature
        return Message(
            id=claim.id,
            to=claim.to,
            topic=claim.id,
            subject=notices.subject(notice, self._contact.name, tongue),
            text=texts.shortened(iter([words])) if is_text else words,
            html=None,
            created_at=claim.created_at,
        )

    def _ping(self, claim: Claim) -> Message:
        """What a webhook shows by taking it that it is there."""
        contact = claim.contact
        return Message(
            id=claim.id,
            to=claim.to,
            topic=claim.id,
            subject="ping",
            text=alertmanager.ping(claim, self._links.page),
            html=None,
            secret=contact.secret if contact is not None else None,
            created_at=claim.created_at,
        )

    def _words(self, title: str, tongue: Tongue) -> dict[str, Any]:
        contact = self._contact
        return {
            "t": tongue.say,
            "language": tongue.code,
            "zone": str(tongue.zone),
            "title": title,
            "page_url": self._links.page,
            "service": contact.name,
            "contact": self._write_to,
            "contact_address": contact.email,
        }


def _title(
    new: tuple[Section, ...],
    over: tuple[Section, ...],
    standing: tuple[Section, ...],
    tongue: Tongue,
    since: str | None,
) -> tuple[str, str]:
    """How bad, and what: "CRITICAL" and "Machine not hashing: mnr-…, since 03:04 UTC". A phone shows little: worst
    first. `since`: of what the label is about; a text says it by itself.
    """
    say = tongue.say

    def dated(what: str) -> str:
        return say("{what}, since {since}", what=what, since=since) if since else what

    if new:
        what = dated(headline(new, tongue))
        over_too = say("; resolved: {what}", what=headline(over, tongue)) if over else ""
        return say(LABELS[_worst(new)]), f"{what}{over_too}"
    if over:
        still = say("; still: {what}", what=headline(standing, tongue)) if standing else ""
        return say("Resolved"), f"{headline(over, tongue)}{still}"
    return say("Still {label}", label=say(LABELS[_worst(standing)])), dated(headline(standing, tongue))


def _since(agenda: Agenda, tongue: Tongue, now: datetime) -> str | None:
    """Since when there is what the label is about; None: it is over."""
    firing = agenda.new or (() if agenda.over else agenda.standing)
    since = min((warning.since for warning in firing), default=None)
    return tongue.recent(since, now) if since is not None else None


def _worst(parts: tuple[Section, ...]) -> Severity:
    return max((part.severity for part in parts), key=lambda severity: severity.rank, default=Severity.INFO)


LABELS: Final = {Severity.INFO: "Info", Severity.WARNING: "Warning", Severity.CRITICAL: "CRITICAL"}
