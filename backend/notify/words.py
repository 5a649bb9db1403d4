"""Warnings in words: what templates and texts are filled with. Pure; times and links come from outside.

A machine is called by its pseudonym; whoever may know more looks it up at the site, by the on-site link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from backend.registry.tables import Site, Warning
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
    lasts: str
    over_at: str | None  # of one that is over
    ending: str | None  # how it ended, when it did not just recover
    lan_url: str | None  # the on-site page that names the machine


@dataclass(frozen=True, slots=True)
class Section:
    """The warnings of one rule."""

    rule: Rule | None  # None: no longer in the catalogue
    severity: Severity
    title: str
    items: tuple[Item, ...]
    more: int  # that are not listed
    count: int

    @property
    def first(self) -> str | None:
        """What to do first."""
        return self.rule.first if self.rule else None


def sections(warnings: Sequence[Warning], catalogue: Catalogue, site: Site, now: datetime) -> tuple[Section, ...]:
    """The warnings by rule, in their order, no more than `ITEMS` in all."""
    groups: dict[tuple[str, str], list[Warning]] = {}
    for warning in warnings:
        groups.setdefault((warning.rule, warning.severity), []).append(warning)
    room = ITEMS
    made = []
    for (name, severity), group in groups.items():
        rule = catalogue.get(name)
        listed = group[: max(room, 0)]
        room -= len(listed)
        made.append(
            Section(
                rule=rule,
                severity=Severity(severity),
                title=rule.title if rule else name.replace("_", " ").capitalize(),
                items=tuple(_item(warning, rule, site, now) for warning in listed),
                more=len(group) - len(listed),
                count=len(group),
            )
        )
    return tuple(made)


def headline(parts: Sequence[Section], most: int = 3) -> str:
    """All sections in one line: "Chip too hot: mnr-…", or "3 machines offline, 2 machines with hot chips"."""
    if len(parts) == 1 and parts[0].count == 1:
        item = parts[0].items[0]
        is_machine = item.name.startswith("mnr-")
        return f"{parts[0].title}: {item.name}" if is_machine else parts[0].title
    named = [
        f"{part.count} {part.rule.plural if part.rule else part.title}" if part.count > 1 else part.title
        for part in parts[:most]
    ]
    if len(parts) > most:
        named.append(f"{sum(part.count for part in parts[most:])} more")
    return ", ".join(named)


def moment(time: datetime) -> str:
    """A time as people read it: "2 Jan 2026, 03:04 UTC"."""
    return f"{time.day} {_MONTHS[time.month - 1]} {time:%Y, %H:%M} UTC"


def lasting(passed: timedelta) -> str:
    """A duration as people say it: "5 min", "2 h 10 min", "3 d 4 h"."""
    minutes = max(0, round(passed.total_seconds() / 60))
    if minutes < 60:
        return f"{minutes} min" if minutes else "less than 1 min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _item(warning: Warning, rule: Rule | None, site: Site, now: datetime) -> Item:
    over_at = warning.resolved_at
    return Item(
        name=warning.machine or site.name,
        model=warning.model,
        says=_says(warning, rule),
        since=moment(warning.since),
        lasts=lasting((over_at or now) - warning.since),
        over_at=moment(over_at) if over_at else None,
        ending=_ENDINGS.get(warning.resolution or ""),
        lan_url=f"{site.lan_url.rstrip('/')}/m/{warning.machine}" if site.lan_url and warning.machine else None,
    )


def _says(warning: Warning, rule: Rule | None) -> str:
    if rule is None:
        return ""
    return rule.says.format(value=_measured(warning.value, rule.unit), limit=_measured(warning.threshold, rule.unit))


def _measured(value: float | None, unit: str | None) -> str:
    if value is None:
        return "unknown"
    return f"{round(value, 1):,.10g} {unit or ''}".rstrip()


_ENDINGS: Final = {
    "paused": "not watched any more: it was paused",
    "switched_off": "not watched any more: the rule was switched off",
}
# `strftime` would write the months of whatever locale the service runs in.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
