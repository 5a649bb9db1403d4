"""What a reading brings about for its machine, worked out once for all machines that stand alike.

In an outage a hundred thousand do: they share their states, and so they share what follows from the next poll.
Pure: nothing is remembered from one judgement to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from agent.wire import Reading
from agent.wire import State as ReadingState
from backend.warnings.catalogue import Rule
from backend.warnings.event import Event, event_of
from backend.warnings.judgement import Track
from backend.warnings.known import Known
from backend.warnings.observe import is_quiet, observe
from backend.warnings.overrides import Applying
from backend.warnings.step import Change, Phase, State, Transition, step, to_json

NO_STATES: Final[Mapping[str, State]] = MappingProxyType({})

_UNTOUCHED: Final = State()
_ARMED: Final = State(armed=True)


class Outcome(NamedTuple):
    """Of one reading, for one machine or many."""

    track: Track
    stored: tuple[tuple[str, dict[str, Any] | None], ...]  # changed states by rule; None: inactive again
    events: tuple[Event, ...]  # without the machine's name


class _Stepped(NamedTuple):
    state: State
    transition: Transition | None
    stored: dict[str, Any] | None
    pinned: object  # what the key names by its address lives as long as the key


class Alike:
    """The outcomes of one judgement. `counted`: the rules that make a machine ill."""

    def __init__(self, counted: frozenset[str]) -> None:
        self._counted = counted
        self._stepped: dict[tuple[object, ...], _Stepped] = {}
        self._of_silent: dict[tuple[object, ...], tuple[Outcome, Track | None]] = {}

    def outcome(
        self,
        applying: Applying,
        reading: Reading,
        known: Known,
        track: Track | None,
        last: datetime | None,
        covers: timedelta,
    ) -> Outcome:
        """What the reading brings about. `known` is after it; `last`: when the machine was judged before."""
        if reading.state is not ReadingState.UNREACHABLE:
            return self.of_rules(applying, reading, known, track, last, covers)
        # All that rules see of a machine that does not answer is in the key.
        states = track.states if track is not None else NO_STATES
        key = (id(applying), id(states), last, reading.time, covers, known.seen_at, known.model, known.is_declared)
        found = self._of_silent.get(key)
        if found is None:
            stirring = {rule.name for rule in applying.without_answer}
            stirring |= {name for name, state in states.items() if not state.is_at_rest}
            few = applying._replace(rules=tuple(rule for rule in applying.rules if rule.name in stirring))
            found = self.of_rules(few, reading, known, track, last, covers), track
            self._of_silent[key] = found
        return found[0]

    def step(
        self, rule: Rule, before: State | None, reading: Reading, known: Known, last: datetime | None, covers: timedelta
    ) -> _Stepped:
        """The rule's next state, and that as the database holds it."""
        seen = observe(rule, reading, known, covers)
        key = (id(rule), id(before), last, reading.time, covers, seen.value, seen.is_moot, seen.arms)
        found = self._stepped.get(key)
        if found is None:
            state, transition = step(rule, before or State(at=last), seen, reading.time)
            found = self._stepped[key] = _Stepped(state, transition, to_json(rule, state), (rule, before))
        return found

    def track(self, at: datetime, states: Mapping[str, State]) -> Track:
        """A machine with these states."""
        if not states:
            return Track(at, NO_STATES)
        if all(state.is_at_rest for state in states.values()):
            return Track(at, _resting(frozenset(states)))
        is_ill = any(state.phase is Phase.FIRING and name in self._counted for name, state in states.items())
        return Track(at, states, is_ill)

    def of_rules(
        self,
        applying: Applying,
        reading: Reading,
        known: Known,
        track: Track | None,
        last: datetime | None,
        covers: timedelta,
    ) -> Outcome:
        """The same, and nobody stands alike."""
        states = track.states if track is not None else NO_STATES
        after: dict[str, State] | None = None
        stored: list[tuple[str, dict[str, Any] | None]] = []
        events: list[Event] = []
        for rule in applying.rules:
            before = states.get(rule.name)
            if (before is None or before.is_at_rest) and is_quiet(rule, reading, known, is_armed=before is not None):
                continue
            stepped = self.step(rule, before, reading, known, last, covers)
            after = dict(states) if after is None else after
            keep(after, rule, stepped.state)
            if stepped.state != (before or _UNTOUCHED):
                stored.append((rule.name, stepped.stored))
            if stepped.transition is not None:
                events.append(event_of(rule, stepped.transition, model=known.model))
        if not states.keys() <= applying.names:  # some were switched off
            after = dict(states) if after is None else after
            for name in states.keys() - applying.names:
                if after.pop(name).phase is Phase.FIRING:
                    events.append(Event("", name, Change.RESOLVED, reading.time, resolution="switched_off"))
                stored.append((name, None))
        if after is None:  # nothing but the time
            return Outcome(Track(reading.time, states, track is not None and track.is_ill), (), ())
        return Outcome(self.track(reading.time, after), tuple(stored), tuple(events))


def keep(states: dict[str, State], rule: Rule, state: State) -> None:
    """Write a rule's state among a machine's, unless it is plainly inactive."""
    if state == _UNTOUCHED:
        states.pop(rule.name, None)
    else:
        states[rule.name] = state


@lru_cache(1_000)
def _resting(names: frozenset[str]) -> Mapping[str, State]:
    return MappingProxyType(dict.fromkeys(names, _ARMED))
