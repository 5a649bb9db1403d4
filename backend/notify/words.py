"""Warnings in words: what templates and texts are filled with. Pure; times and links come from outside.

A machine is called by its pseudonym; whoever may know more looks it up at the site, by the on-site link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from backend.notify.tongue import Tongue
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import Catalogue, Rule
from backend.warnings.severity import Severity

ITEMS: Final = 40
"""Machines that a message lists; the rest is a number and the page's link."""


@dataclass(frozen=True, slots=True)
class Item:
    """One warning of a section."""

    name: str  # the machine's pseudonym, or the site's name
    model: str | None
    says: str
    since: str
    since_briefly: str  # for a text
    lasts: str
    over_at: str | None  # of one that is over
    ending: str | None  # how it ended, when it did not just recover
    lan_url: str | None  # the on-site page that names the machine


@dataclass(frozen=True, slots=True)
class Section:
    """The warnings of one rule."""

    severity: Severity
    title: str
    plural: str
    first: str | None  # what to do first
    items: tuple[Item, ...]
    more: int  # that are not listed
    count: int


def sections(
    warnings: Sequence[Warning], catalogue: Catalogue, site: Site, now: datetime, tongue: Tongue, room: int = ITEMS
) -> tuple[Section, ...]:
    """The warnings by rule, in their order, no more than `room` in all."""
    groups: dict[tuple[str, str], list[Warning]] = {}
    for warning in warnings:
        groups.setdefault((warning.rule, warning.severity), []).append(warning)
    made = []
    for (name, severity), group in groups.items():
        rule = catalogue.get(name)
        listed = group[: max(room, 0)]
        room -= len(listed)
        title = title_of(name, catalogue, tongue)
        made.append(
            Section(
                severity=Severity(severity),
                title=title,
                plural=tongue.say(rule.plural) if rule else title,
                first=tongue.say(rule.first) if rule else None,
                items=tuple(_item(warning, rule, site, now, tongue) for warning in listed),
                more=len(group) - len(listed),
                count=len(group),
            )
        )
    return tuple(made)


def title_of(name: str, catalogue: Catalogue, tongue: Tongue) -> str:
    """A rule's name for people, also of one that is no longer in the catalogue."""
    rule = catalogue.get(name)
    return tongue.say(rule.title) if rule else name.replace("_", " ").capitalize()


def headline(parts: Sequence[Section], tongue: Tongue, most: int = 3) -> str:
    """All sections in one line: "Chip too hot: mnr-…", or "3 machines offline, 2 machines with hot chips"."""
    if len(parts) == 1 and parts[0].count == 1:
        item = parts[0].items[0]
        is_machine = item.name.startswith("mnr-")
        return tongue.say("{title}: {name}", title=parts[0].title, name=item.name) if is_machine else parts[0].title
    named = [
        tongue.say("{count} {plural}", count=part.count, plural=part.plural) if part.count > 1 else part.title
        for part in parts[:most]
    ]
    if len(parts) > most:
        named.append(tongue.say("{count} more", count=sum(part.count for part in parts[most:])))
    return tongue.joined(named)


def says(warning: Warning, rule: Rule | None, tongue: Tongue) -> str:
    """What is wrong, with the numbers."""
    if rule is None:
        return ""
    value, limit = tongue.measured(warning.value, rule.unit), tongue.measured(warning.threshold, rule.unit)
    return tongue.say(rule.says, value=value, limit=limit)


def _item(warning: Warning, rule: Rule | None, site: Site, now: datetime, tongue: Tongue) -> Item:
    over_at = warning.resolved_at
    return Item(
        name=warning.machine or site.name,
        model=warning.model,
        says=says(warning, rule, tongue),
        since=tongue.moment(warning.since),
        since_briefly=tongue.recent(warning.since, now),
        lasts=tongue.lasting((over_at or now) - warning.since),
        over_at=tongue.moment(over_at) if over_at else None,
        ending=tongue.say(_ENDINGS[warning.resolution]) if warning.resolution in _ENDINGS else None,
        lan_url=lan_url(site, warning),
    )


def lan_url(site: Site, warning: Warning) -> str | None:
    """The on-site page that names the machine."""
    return f"{site.lan_url.rstrip('/')}/m/{warning.machine}" if site.lan_url and warning.machine else None


_ENDINGS: Final = {
    "paused": "not watched any more: it was paused",
    "new_key": "not watched any more: the site's key was changed, and its machines have new names",
    "switched_off": "not watched any more: the rule was switched off",
}
