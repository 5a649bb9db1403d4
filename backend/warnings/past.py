"""A backlog that comes after newer readings, judged in its own time.

After an outage an agent sends what is new first (so that people are told of what is so now) and what it read meanwhile
later, oldest first. The time between is a `Gap`. Beside the live state of a machine, which went on from the gap's
end, a `Past` goes from the gap's beginning through what comes late. What fired and ended in there is an
`Episode`: history, of which nobody is told. When nothing older waits any more, the two are joined: what was
bad up to the gap's end and from there on was bad all the time.

One gap at a time: what comes late of another one is history that no rule sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.wire import Reading
from backend.warnings.catalogue import Rule
from backend.warnings.event import Event, event_of
from backend.warnings.known import Known, remembered
from backend.warnings.observe import is_quiet, observe
from backend.warnings.severity import Severity
from backend.warnings.step import Change, Clocks, State, from_json, step, to_json

PREFIX: Final = "~"
"""Before a rule's name, where the states of the past are stored beside those of the present."""

GAP: Final = f"{PREFIX}gap"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time whose readings come late."""

    since: datetime  # the last reading before it
    until: datetime  # the first one after it
    at: datetime  # how far the backlog is judged


@dataclass(frozen=True, slots=True)
class Past:
    """One machine in the gap."""

    at: datetime
    states: Mapping[str, State]  # by rule
    fired: Mapping[str, Event]  # what fired in the gap and has not ended
    known: Known | None = None  # None: nothing came late of it yet


@dataclass(slots=True)
class Late:
    """What came late of a site so far."""

    gap: Gap
    pasts: dict[str, Past]  # by machine; one that is not here was well when the gap began

    def copy(self) -> Late:
        return Late(self.gap, dict(self.pasts))


@dataclass(frozen=True, slots=True)
class Episode:
    """A warning that came and went before anybody could know of it."""

    fired: Event
    ended_at: datetime


def judge_late(
    rules: tuple[Rule, ...], reading: Reading, past: Past, before_it: Known, covers: timedelta
) -> tuple[Past, list[Episode]]:
    """The machine's past after a late reading, which is newer than those before it, and what ended with it."""
    known = remembered(before_it, reading)
    states, fired, ended = dict(past.states), dict(past.fired), []
    for rule in rules:
        before = states.get(rule.name)
        if before is None and is_quiet(rule, reading, known):
            continue
        state, transition = step(rule, before or State(at=past.at), observe(rule, reading, known, covers), reading.time)
        states[rule.name] = state
        if state == State():
            del states[rule.name]
        if transition is None:
            continue
        if transition.change is Change.RESOLVED:
            if rule.name in fired:  # else it fired before the gap: the live state ends it
                ended.append(Episode(fired.pop(rule.name), reading.time))
        elif transition.change is Change.FIRED:
            fired[rule.name] = event_of(rule, transition, reading.machine, reading.model)
        elif transition.change is Change.ESCALATED and rule.name in fired:
            fired[rule.name] = fired[rule.name]._replace(severity=transition.severity)
    return Past(reading.time, states, fired, known), ended


def joined(live: State | None, past: State | None, gap: Gap, covers: timedelta) -> State | None:
    """The live state, knowing what was so up to the gap's end."""
    if live is None or not live.is_running:
        return live
    levels = past.levels if past and past.levels else (Clocks(),) * len(live.levels)
    lost = _lost(past, gap, covers) if past else timedelta()
    return replace(
        live, levels=tuple(_join(level, before, gap, lost) for level, before in zip(live.levels, levels, strict=True))
    )


def _join(level: Clocks, before: Clocks, gap: Gap, lost: timedelta) -> Clocks:
    if level.began_at is None or level.bad_since is None or level.began_at > gap.until:
        return level
    if before.began_at is not None and before.bad_since is not None:
        return replace(level, began_at=before.began_at, bad_since=min(level.bad_since, before.bad_since + lost))
    if level.fires:
        return level
    return replace(level, began_at=gap.until, bad_since=max(level.bad_since, gap.until))


def _lost(past: State, gap: Gap, covers: timedelta) -> timedelta:
    """How much of the time from the last late value to the gap's end says nothing."""
    if past.stalled_at is not None:
        return gap.until - past.stalled_at
    return max(timedelta(), gap.until - past.at - covers) if past.at else timedelta()


def past_json(rule: Rule, past: Past) -> dict[str, Any] | None:
    """What has to survive a restart of one rule's past; None when there is nothing."""
    state, fired = past.states.get(rule.name), past.fired.get(rule.name)
    if state is None and fired is None:
        return None
    return {"state": to_json(rule, state or State()), "fired": _event_json(fired) if fired else None}


def past_state(rule: Rule, data: dict[str, Any], machine: str, at: datetime) -> tuple[State, Event | None]:
    """State and what fired, from their JSON."""
    state = from_json(rule, data["state"], at=at) if data["state"] else State(at=at)
    return state, _event(rule, data["fired"], machine) if data["fired"] else None


def gap_json(gap: Gap) -> dict[str, Any]:
    return {name: getattr(gap, name).isoformat() for name in ("since", "until", "at")}


def gap_from_json(data: dict[str, Any]) -> Gap:
    return Gap(*(datetime.fromisoformat(data[name]) for name in ("since", "until", "at")))


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "since": event.since.isoformat() if event.since else None,
        "severity": event.severity.value if event.severity else None,
        "value": event.value,
        "limit": event.limit,
        "model": event.model,
    }


def _event(rule: Rule, data: dict[str, Any], machine: str) -> Event:
    return Event(
        machine=machine,
        rule=rule.name,
        change=Change.FIRED,
        at=datetime.fromisoformat(data["at"]),
        severity=Severity(data["severity"]) if data["severity"] else None,
        since=datetime.fromisoformat(data["since"]) if data["since"] else None,
        value=data["value"],
        limit=data["limit"],
        model=data["model"],
    )
