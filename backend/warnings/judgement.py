"""What is so after some readings, before the database has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from backend.warnings.event import Event
from backend.warnings.known import Known
from backend.warnings.past import Episode, Late
from backend.warnings.step import State

FIRST_COVER: Final = timedelta(minutes=5)
"""How much of a gap counts while nobody knows the site's interval yet."""

INTERVALS_COVERED: Final = 3
"""A reading speaks for the time since the last one, up to so many intervals; more is a hole, and missing."""


@dataclass(frozen=True, slots=True)
class Track:
    """One machine: when it was last judged, and its rules that are not plainly inactive."""

    at: datetime
    states: Mapping[str, State]


@dataclass(slots=True)
class Judgement:
    """What is so after some readings."""

    judged_to: datetime | None
    interval: timedelta | None
    late: Late | None  # None: nothing comes late
    tracks: dict[str, Track] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    to_save: set[str] = field(default_factory=set)  # of those that are known: what a restart may not lose
    # Changed states by machine and rule, as the database holds them; None: inactive again.
    states: dict[tuple[str, str], dict[str, Any] | None] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    too_old: int = 0  # readings that are history and that no rule saw
    gone: frozenset[str] | None = None  # machines that are no longer reported; None: as before
    undiscovered: int | None = None  # declared machines of which nothing ever came; None: none is declared
    ill: set[str] = field(default_factory=set)  # of those that were judged
    ill_percent: float = 0.0  # machines with an active warning, of all; 0 for a site of few

    @property
    def covers(self) -> timedelta:
        """The longest time that passes between two readings of which the second speaks for all of it."""
        return INTERVALS_COVERED * self.interval if self.interval else FIRST_COVER
