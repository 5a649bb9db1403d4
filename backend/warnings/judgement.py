"""What is so after some readings, before the database has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from backend.warnings.event import Event
from backend.warnings.known import Known
from backend.warnings.past import Episode, Late
from backend.warnings.step import State

FIRST_COVER: Final = timedelta(minutes=5)
"""How much of a gap counts while nobody knows the site's interval yet."""

INTERVALS_COVERED: Final = 3
"""A reading speaks for the time since the last one, up to so many intervals; more is a hole, and missing."""


class Track(NamedTuple):
    """One machine: when it was last judged, and its rules that are not plainly inactive. Machines that stand alike may
    share it: nobody changes it."""

    at: datetime
    states: Mapping[str, State]
    is_ill: bool = False  # one of the rules that its site is judged by fires


@dataclass(slots=True)
class Judgement:
    """What is so after some readings."""

    judged_to: datetime | None
    interval: timedelta | None  # between the site's readings
    late: Late | None  # None: nothing comes late
    tracks: dict[str, Track] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    met: int = 0  # of those that are known: machines that were not known before
    to_save: set[str] = field(default_factory=set)  # of those that are known: what a restart may not lose
    # Changed states by machine and rule, as the database holds them; None: inactive again.
    states: dict[tuple[str, str], dict[str, Any] | None] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    too_old: int = 0  # readings that are history and that no rule saw
    gone: frozenset[str] | None = None  # machines that are no longer reported; None: as before
    undiscovered: int | None = None  # declared machines of which nothing ever came; None: none is declared
    ill: dict[str, bool] = field(default_factory=dict)  # machines that have fallen ill (true), or are well again
    covers: timedelta = field(init=False)  # the longest time of all of which the reading at its end speaks
    ill_percent: float = 0.0  # machines with an active warning, of all; 0 for a site of few

    def __post_init__(self) -> None:
        self.covers = _covers(self.interval)

    def go_on_to(self, time: datetime) -> None:
        """A reading of this time was judged; none newer was."""
        if self.judged_to is not None:
            # By no more than a factor of 2: neither a hole nor a stray reading is the interval.
            passed, before = time - self.judged_to, self.interval
            self.interval = passed if before is None else max(before / 2, min(passed, 2 * before))
            self.covers = _covers(self.interval)
        self.judged_to = time


def _covers(interval: timedelta | None) -> timedelta:
    return INTERVALS_COVERED * interval if interval else FIRST_COVER
