"""The gap that a site's backlog is of: opening it, judging what comes late, and joining it with the present.

All of it is written into the judgement; `past` has the rules of it for one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agent.wire import Reading
from backend.warnings.alike import Alike
from backend.warnings.judgement import Judgement, Track
from backend.warnings.known import Known, first_known
from backend.warnings.overrides import Rulebook
from backend.warnings.past import GAP, PREFIX, Episode, Gap, Late, Past, gap_json, joined, judge_late, past_json
from backend.warnings.step import to_json

_Stored = dict[tuple[str, str], dict[str, Any] | None]


def open_gap(
    result: Judgement,
    rulebook: Rulebook,
    tracks: Mapping[str, Track],
    time: datetime,
    unsent_since: datetime | None,
) -> None:
    """A hole before `time` of which the agent has readings: they come late, and begin with what is so now."""
    since, covers = result.judged_to, result.covers
    if result.late is not None or unsent_since is None or since is None:
        return
    if time - since <= covers or unsent_since >= time - covers:
        return
    pasts = {machine: Past(track.at, track.states, {}) for machine, track in tracks.items() if track.states}
    result.late = Late(Gap(since, time, since), pasts)
    for machine, past in pasts.items():
        result.states |= _stored(rulebook, machine, past)
    result.states["", GAP] = gap_json(result.late.gap)


def close_gap(result: Judgement, late: Late, rulebook: Rulebook, tracks: Mapping[str, Track], alike: Alike) -> None:
    """Nothing older waits any more: what is so now began in the gap, if it was so up to its end."""
    for machine, past in late.pasts.items():
        track = tracks.get(machine)
        states = dict(track.states) if track else {}
        for name in past.states.keys() | past.fired.keys() | states.keys():
            rule = rulebook.rule(name)
            state = joined(states.get(name), past.states.get(name), late.gap, result.covers)
            if state is not None and state != states.get(name):
                states[name] = state
                result.states[machine, name] = to_json(rule, state)
            fired = past.fired.get(name)
            if fired is not None and (state is None or not state.is_running):
                result.episodes.append(Episode(fired, late.gap.until))
        if track is not None:
            result.tracks[machine] = alike.track(track.at, states)
        result.states |= dict.fromkeys(_stored(rulebook, machine, past))
    result.states["", GAP] = None
    result.late = None


def is_in_gap(late: Late | None, time: datetime) -> bool:
    """Whether a reading of this time is one that the gap waits for."""
    return late is not None and late.gap.since < time < late.gap.until


def hear_late(result: Judgement, late: Late, rulebook: Rulebook, reading: Reading, live: Known) -> None:
    """A reading out of the gap. `live`: what is known of its machine now."""
    machine = reading.machine
    past = late.pasts.get(machine) or Past(late.gap.since, {}, {})
    if reading.time <= past.at:
        result.too_old += 1
        return
    rules = rulebook.of_machine(machine, reading.make, reading.model).rules
    known = past.known or first_known(reading)._replace(usual=live.usual, is_declared=live.is_declared)
    after, ended = judge_late(rules, reading, past, known, result.covers)
    late.pasts[machine] = after
    late.gap = replace(late.gap, at=max(late.gap.at, reading.time))
    result.episodes += ended
    before, now = _stored(rulebook, machine, past), _stored(rulebook, machine, after)
    result.states |= {key: now.get(key) for key in before.keys() | now.keys() if now.get(key) != before.get(key)}
    result.states["", GAP] = gap_json(late.gap)


def _stored(rulebook: Rulebook, machine: str, past: Past) -> _Stored:
    return {
        (machine, PREFIX + name): past_json(rulebook.rule(name), past)
        for name in past.states.keys() | past.fired.keys()
    }
