"""The state machine of a rule, as one pure function.

    inactive ──bad──► pending ──bad for long enough──► firing ──clear for long enough──► resolved, which is
        ▲                │                               │ ▲                             inactive again
        └───not bad──────┘                               └─┘ not clear

- Time is `now`, the time of the reading. A reading that is not newer than the last one changes nothing.
- *Bad* is a value beyond the limit, *clear* one that has come back from it by the margin. A value in between ends
  a pending state and holds a firing one: it starts nothing and ends nothing.
- Missing is missing. A reading without the value moves nothing, and the time that it stands for counts neither
  towards firing nor towards clearing: 2 bad minutes, 10 unknown ones and 1 bad are 3 bad minutes.
- Each severity has a clock of its own; the state is as bad as the worst that fires. A severity that fires brings
  those below it along, so that what was critical eases to a warning and does not vanish between the limits.
- Firing is decided by readings, so a pending state needs a bad one to fire, however late it is by the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from backend.warnings.catalogue import Limit, Rule
from backend.warnings.severity import Severity

_ZERO: Final = timedelta()


class Phase(StrEnum):
    """Where a rule stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Change(StrEnum):
    """What a transition does. `RESOLVED` ends in `Phase.INACTIVE`."""

    FIRED = "fired"
    ESCALATED = "escalated"
    EASED = "eased"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one reading says to one rule."""

    value: float | None  # None: missing
    is_moot: bool = False  # the rule does not apply to what the machine does now: counts as clear
    arms: bool = False  # evidence that the rule makes sense for this machine
    covers: timedelta = timedelta.max  # of the time since the last reading, at most so much counts


@dataclass(frozen=True, slots=True)
class Clocks:
    """One severity of one rule. The clocks stand still while the value is missing."""

    began_at: datetime | None = None  # the first reading that was bad
    bad_since: datetime | None = None  # the same, later by the time that does not count
    clear_since: datetime | None = None  # of one that fires
    fires: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A rule's state for one machine or site. `State()` knows nothing and is inactive."""

    levels: tuple[Clocks, ...] = ()  # one for each limit of the rule; () when all are untouched
    armed: bool = False
    stalled_at: datetime | None = None  # the last reading with a value, while the value is missing
    at: datetime | None = field(default=None, compare=False)  # of the last reading

    @property
    def is_running(self) -> bool:
        """Whether any clock runs or anything fires."""
        return any(level.began_at is not None for level in self.levels)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is known but that the rule is armed."""
        return self.armed and not self.levels and self.stalled_at is None

    @property
    def phase(self) -> Phase:
        if any(level.fires for level in self.levels):
            return Phase.FIRING
        return Phase.PENDING if self.is_running else Phase.INACTIVE


@dataclass(frozen=True, slots=True)
class Transition:
    """A change that people may want to know of."""

    change: Change
    severity: Severity  # afterwards; of one that resolved: before
    since: datetime  # when the first reading was bad
    at: datetime
    value: float | None
    limit: float


def step(rule: Rule, state: State, seen: Seen, now: datetime) -> tuple[State, Transition | None]:
    """The state after a reading at `now`, and what changed by it."""
    if state.at is not None and now <= state.at:
        return state, None
    armed = state.armed or seen.arms
    if (seen.value is None and not seen.is_moot) or (rule.armed_by is not None and not armed):
        stalled_at = state.stalled_at or (state.at if state.is_running else None)
        return replace(state, armed=armed, stalled_at=stalled_at, at=now), None
    lost = _lost(state, seen, now)
    before = state.levels or (Clocks(),) * len(rule.limits)
    after = [
        _advance(rule, limit, _shifted(level, lost), seen, now)
        for limit, level in zip(rule.limits, before, strict=True)
    ]
    for worse in range(len(after) - 1, 0, -1):
        if after[worse].fires:
            after[worse - 1] = _brought_along(after[worse - 1], after[worse])
    levels = tuple(after) if any(level != Clocks() for level in after) else ()
    return State(levels, armed, None, now), _transition(rule, before, tuple(after), seen, now)


def _lost(state: State, seen: Seen, now: datetime) -> timedelta:
    """How much of the time since the last value says nothing."""
    if state.stalled_at is not None:
        return now - state.stalled_at
    if state.at is None:
        return _ZERO
    passed = now - state.at
    return passed - seen.covers if passed > seen.covers else _ZERO


def _shifted(level: Clocks, lost: timedelta) -> Clocks:
    if not lost:
        return level
    return replace(
        level,
        bad_since=level.bad_since and level.bad_since + lost,
        clear_since=level.clear_since and level.clear_since + lost,
    )


def _advance(rule: Rule, limit: Limit, level: Clocks, seen: Seen, now: datetime) -> Clocks:
    if level.fires:
        if not (seen.is_moot or (seen.value is not None and rule.is_clear(seen.value, limit))):
            return replace(level, clear_since=None)
        clear_since = level.clear_since or now
        return Clocks() if now - clear_since >= rule.clear_for else replace(level, clear_since=clear_since)
    if seen.is_moot or seen.value is None or not rule.is_bad(seen.value, limit):
        return Clocks()
    bad_since = level.bad_since or now
    return Clocks(level.began_at or now, bad_since, None, fires=now - bad_since >= limit.duration)


def _brought_along(milder: Clocks, worse: Clocks) -> Clocks:
    if milder.fires:
        return milder
    return Clocks(milder.began_at or worse.began_at, milder.bad_since or worse.bad_since, None, fires=True)


def _worst(levels: tuple[Clocks, ...]) -> int | None:
    return max((index for index, level in enumerate(levels) if level.fires), default=None)


def _transition(
    rule: Rule, before: tuple[Clocks, ...], after: tuple[Clocks, ...], seen: Seen, now: datetime
) -> Transition | None:
    was, is_now = _worst(before), _worst(after)
    if was == is_now:
        return None
    if is_now is None:
        assert was is not None  # they differ
        change, index, began_at = Change.RESOLVED, was, before[was].began_at
    else:
        index, began_at = is_now, after[is_now].began_at
        change = Change.FIRED if was is None else Change.ESCALATED if is_now > was else Change.EASED
    limit = rule.limits[index]
    return Transition(change, limit.severity, began_at or now, now, seen.value, limit.at)


def to_json(rule: Rule, state: State) -> dict[str, Any] | None:
    """What has to survive a restart; None when the state is as good as new. `at` is the site's to remember."""
    if state == State():
        return None
    levels = {
        limit.severity.value: {
            "began_at": _text(level.began_at),
            "bad_since": _text(level.bad_since),
            "clear_since": _text(level.clear_since),
            "fires": level.fires,
        }
        for limit, level in zip(rule.limits, state.levels, strict=False)
        if level != Clocks()
    }
    return {"levels": levels, "armed": state.armed, "stalled_at": _text(state.stalled_at)}


def from_json(rule: Rule, data: dict[str, Any], *, at: datetime | None) -> State:
    """A state from its JSON. Severities that the rule no longer has are dropped, new ones start untouched."""
    kept = [data["levels"].get(limit.severity.value) for limit in rule.limits]
    levels = tuple(
        Clocks(_time(level["began_at"]), _time(level["bad_since"]), _time(level["clear_since"]), level["fires"])
        if level
        else Clocks()
        for level in kept
    )
    return State(levels if any(kept) else (), data["armed"], _time(data["stalled_at"]), at)


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
