"""A change that is stored and told: one rule, one machine or site."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from backend.warnings.catalogue import Rule
from backend.warnings.severity import Severity
from backend.warnings.step import Change, Transition


class Event(NamedTuple):
    """What changed for one rule and machine (or the site: machine = "")."""

    machine: str
    rule: str
    change: Change
    at: datetime
    severity: Severity | None = None  # None: it resolved for a reason that is not in the readings
    since: datetime | None = None
    value: float | None = None
    limit: float | None = None
    model: str | None = None
    resolution: str | None = None  # of one that resolved: recovered, paused, switched_off, new_key


def event_of(rule: Rule, transition: Transition, machine: str = "", model: str | None = None) -> Event:
    """The event of a transition. Value and limit are kept where they say more than the rule's name does."""
    return Event(
        machine=machine,
        rule=rule.name,
        change=transition.change,
        at=transition.at,
        severity=transition.severity,
        since=transition.since,
        value=transition.value if rule.unit else None,
        limit=transition.limit if rule.unit else None,
        model=model,
        resolution="recovered" if transition.change is Change.RESOLVED else None,
    )
