"""Where the rules stand for the machines of one site, in memory; judging readings changes nothing here.

`judge` is pure: it says what would be so afterwards. `adopt` makes it so, and is called when the database has it.
Cost follows the readings that arrive. Only what is not plainly inactive is held per rule, so that a healthy machine
costs one time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from agent.wire import MachineId, Reading
from agent.wire import State as ReadingState
from backend.warnings.catalogue import Rule
from backend.warnings.declared import Declaration, assigned, placed, undiscovered
from backend.warnings.event import Event, event_of
from backend.warnings.judgement import Judgement, Track
from backend.warnings.known import DAY_S, HOUR_S, Known, first_known, is_worth_saving, remembered
from backend.warnings.observe import is_quiet, observe
from backend.warnings.overrides import Rulebook
from backend.warnings.past import (
    GAP,
    PREFIX,
    Episode,
    Gap,
    Late,
    Past,
    gap_json,
    joined,
    judge_late,
    past_json,
)
from backend.warnings.step import Change, Phase, State, step, to_json

FEWEST: Final = 5
"""Of fewer machines, a share says nothing of the site."""

UNSEEN: Final = "unseen_h"
"""The field of a machine that needs no reading of it."""

_NO_STATES: Final[Mapping[str, State]] = MappingProxyType({})
_INSTANT: Final = timedelta(microseconds=1)


class Ledger:
    """One site's memory. `version` is the database's when this was read from it."""

    def __init__(
        self,
        rulebook: Rulebook,
        *,
        version: int,
        judged_to: datetime | None,
        interval: timedelta | None,
        states: Mapping[str, Mapping[str, State]],
        paused: frozenset[str],
        known: Mapping[str, Known] = MappingProxyType({}),
        declarations: Sequence[Declaration] = (),
        late: Late | None = None,
    ) -> None:
        self.version = version
        self.rulebook = rulebook
        self._judged_to = judged_to
        self._interval = interval
        self._paused = paused
        self._late = late
        # Of machines that were judged before this was read, only this is known: nothing newer than `judged_to`.
        self._floor = judged_to - _INSTANT if judged_to else None
        self._tracks = {machine: Track(self._floor, of) for machine, of in states.items()} if self._floor else {}
        self._known = dict(known)
        self._declarations = declarations
        self._gone: frozenset[str] = frozenset()
        self._undiscovered: int | None = None
        self._hour: float | None = None  # of the last look at machines that are not reported
        self._counted = rulebook.of_ill_machines()
        self._ill = {machine for machine, track in self._tracks.items() if self._is_ill(track)}

    @property
    def known(self) -> Mapping[str, Known]:
        """What is remembered of each machine."""
        return self._known

    def judge(self, readings: Iterable[Reading], *, unsent_since: datetime | None = None) -> Judgement:
        """What the readings bring about, each in its own time.

        `unsent_since`: the agent has nothing older to send any more. None: it does not say, and nothing comes late.
        """
        readings = sorted(readings, key=lambda each: each.time)
        result = Judgement(self._judged_to, self._interval, self._late.copy() if self._late else None)
        self._meet(readings, result)
        if result.late is not None and unsent_since is not None and unsent_since >= result.late.gap.until:
            self._close_gap(result.late, result)
        for reading in readings:
            if result.judged_to is not None and reading.time > result.judged_to:
                self._open_gap(reading.time, unsent_since, result)
            self._judge(reading, result)
            if result.judged_to is None or reading.time > result.judged_to:
                result.interval = _interval(result, reading.time)
                result.judged_to = reading.time
        self._count(result)
        return result

    def _meet(self, readings: Sequence[Reading], result: Judgement) -> None:
        """Machines that are new; and once an hour, those that are not reported any more."""
        for reading in readings:
            if reading.machine not in self._known and reading.machine not in result.known:
                result.known[reading.machine] = first_known(reading)
                result.to_save.add(reading.machine)
        at = max((reading.time.timestamp() for reading in readings), default=0.0)
        is_new_hour = at // HOUR_S != self._hour
        if not is_new_hour and not result.known:
            return
        known = {**self._known, **result.known}
        if self._declarations:
            result.undiscovered = undiscovered(self._declarations, placed(self._declarations, known, at))
            for machine, is_declared in assigned(self._declarations, known, at).items():
                if known[machine].is_declared is not is_declared:
                    known[machine] = result.known[machine] = known[machine]._replace(is_declared=is_declared)
        if is_new_hour:
            result.gone = frozenset(machine for machine, each in known.items() if each.at <= at - DAY_S)
            self._miss(known, {reading.machine for reading in readings}, at, result)

    def _miss(self, known: Mapping[str, Known], here: Set[str], at: float, result: Judgement) -> None:
        """Judge the declared machines of which no reading comes: all that is known of them is for how long."""
        time = datetime.fromtimestamp(at, UTC)
        for machine, each in known.items():
            if machine in here or not each.is_declared or machine in self._paused or at - each.seen_at < DAY_S:
                continue
            track = self._tracks.get(machine) or Track(self._floor or time - _INSTANT, _NO_STATES)
            absent = Reading(machine=MachineId(machine), time=time, state=ReadingState.UNREACHABLE)
            after = dict(track.states)
            for rule in self.rulebook.of_machine(machine, each.make, each.model):
                if rule.field == UNSEEN:
                    self._step(rule, absent, each._replace(at=at), track.at, timedelta.max, after, result)
            result.tracks[machine] = Track(track.at, after or _NO_STATES)

    def _count(self, result: Judgement) -> None:
        """How many machines there are, and how many of those have a warning; only those that were judged are asked."""
        result.ill = {machine for machine, track in result.tracks.items() if self._is_ill(track)}
        gone = self._gone if result.gone is None else result.gone
        if gone and result.judged_to is not None:
            since = result.judged_to.timestamp() - DAY_S
            gone = frozenset(each for each in gone if each not in result.known or result.known[each].at <= since)
        result.gone = gone
        if result.undiscovered is None:
            result.undiscovered = self._undiscovered
        ill = len((self._ill - result.tracks.keys() - gone) | (result.ill - gone))
        machines = len(self._known) + len(result.known.keys() - self._known.keys()) - len(gone)
        result.ill_percent = 100 * ill / machines if machines >= FEWEST else 0.0

    def _is_ill(self, track: Track) -> bool:
        return any(state.phase is Phase.FIRING and name in self._counted for name, state in track.states.items())

    def adopt(self, judgement: Judgement, version: int) -> None:
        """Go on from a judgement that the database holds."""
        self.version = version
        self._judged_to = judgement.judged_to
        self._interval = judgement.interval
        self._late = judgement.late
        self._tracks.update(judgement.tracks)
        self._known.update(judgement.known)
        self._undiscovered = judgement.undiscovered
        if judgement.gone is not None:
            self._gone = judgement.gone
        if judgement.judged_to is not None:
            self._hour = judgement.judged_to.timestamp() // HOUR_S
        self._ill -= judgement.tracks.keys()
        self._ill |= judgement.ill

    def _open_gap(self, time: datetime, unsent_since: datetime | None, result: Judgement) -> None:
        """A hole that the agent has readings of: they come late, and begin with what is so now."""
        since, covers = result.judged_to, result.covers
        if result.late is not None or unsent_since is None or since is None:
            return
        if time - since <= covers or unsent_since >= time - covers:
            return
        tracks = {**self._tracks, **result.tracks}
        pasts = {machine: Past(track.at, track.states, {}) for machine, track in tracks.items() if track.states}
        result.late = Late(Gap(since, time, since), pasts)
        for machine, past in pasts.items():
            result.states |= self._stored(machine, past)
        result.states["", GAP] = gap_json(result.late.gap)

    def _close_gap(self, late: Late, result: Judgement) -> None:
        for machine, past in late.pasts.items():
            track = result.tracks.get(machine) or self._tracks.get(machine)
            states = dict(track.states) if track else {}
            for name in past.states.keys() | past.fired.keys() | states.keys():
                rule = self.rulebook.rule(name)
                state = joined(states.get(name), past.states.get(name), late.gap, result.covers)
                if state is not None and state != states.get(name):
                    states[name] = state
                    result.states[machine, name] = to_json(rule, state)
                fired = past.fired.get(name)
                if fired is not None and (state is None or not state.is_running):
                    result.episodes.append(Episode(fired, late.gap.until))
            if track is not None:
                result.tracks[machine] = Track(track.at, states or _NO_STATES)
            result.states |= dict.fromkeys(self._stored(machine, past))
        result.states["", GAP] = None
        result.late = None

    def _judge_late(self, reading: Reading, late: Late, result: Judgement) -> None:
        machine = reading.machine
        past = late.pasts.get(machine) or Past(late.gap.since, _NO_STATES, {})
        if reading.time <= past.at:
            result.too_old += 1
            return
        rules = self.rulebook.of_machine(machine, reading.make, reading.model)
        live = result.known.get(machine) or self._known[machine]
        known = past.known or first_known(reading)._replace(usual=live.usual, is_declared=live.is_declared)
        after, ended = judge_late(rules, reading, past, known, result.covers)
        late.pasts[machine] = after
        late.gap = replace(late.gap, at=max(late.gap.at, reading.time))
        result.episodes += ended
        before, now = self._stored(machine, past), self._stored(machine, after)
        result.states |= {key: now.get(key) for key in before.keys() | now.keys() if now.get(key) != before.get(key)}
        result.states["", GAP] = gap_json(late.gap)

    def _stored(self, machine: str, past: Past) -> dict[tuple[str, str], dict[str, Any] | None]:
        return {
            (machine, PREFIX + name): past_json(self.rulebook.rule(name), past)
            for name in past.states.keys() | past.fired.keys()
        }

    def _judge(self, reading: Reading, result: Judgement) -> None:
        machine = reading.machine
        track = result.tracks.get(machine) or self._tracks.get(machine)
        last = track.at if track else self._floor
        if last is not None and reading.time <= last:
            late = result.late
            if late is not None and late.gap.since < reading.time < late.gap.until and machine not in self._paused:
                self._judge_late(reading, late, result)
            else:
                result.too_old += 1
            return
        states = track.states if track else _NO_STATES
        met = result.known.get(machine) or self._known[machine]
        known = result.known[machine] = remembered(met, reading)
        if is_worth_saving(met, known):
            result.to_save.add(machine)
        if machine in self._paused:
            result.tracks[machine] = Track(reading.time, states)
            return
        rules = self.rulebook.of_machine(machine, reading.make, reading.model)
        applying = rules
        if reading.state is ReadingState.UNREACHABLE:
            few = self.rulebook.of_silent_machine(machine, reading.make, reading.model)
            applying = few if states.keys() <= {rule.name for rule in few} else rules
        covers = _covers(result, last, reading.time)
        after = dict(states)
        for rule in applying:
            before = states.get(rule.name)
            if (before is None or before.is_at_rest) and is_quiet(rule, reading, known, is_armed=before is not None):
                continue
            self._step(rule, reading, known, last, covers, after, result)
        if states:
            self._drop_switched_off(reading, rules, after, result)
        result.tracks[machine] = Track(reading.time, after or _NO_STATES)

    def _step(
        self,
        rule: Rule,
        reading: Reading,
        known: Known,
        last: datetime | None,
        covers: timedelta,
        states: dict[str, State],
        result: Judgement,
    ) -> None:
        """One rule of one machine; `states` are the machine's, and what changes of them is written into it."""
        before = states.get(rule.name) or State(at=last)
        state, transition = step(rule, before, observe(rule, reading, known, covers), reading.time)
        _keep(states, rule, state)
        if state != before:
            result.states[reading.machine, rule.name] = to_json(rule, state)
        if transition:
            result.events.append(event_of(rule, transition, reading.machine, known.model))

    def _drop_switched_off(
        self, reading: Reading, rules: tuple[Rule, ...], states: dict[str, State], result: Judgement
    ) -> None:
        for name in states.keys() - {rule.name for rule in rules}:
            if states.pop(name).phase is Phase.FIRING:
                result.events.append(
                    Event(reading.machine, name, Change.RESOLVED, reading.time, resolution="switched_off")
                )
            result.states[reading.machine, name] = None


def _covers(result: Judgement, last: datetime | None, time: datetime) -> timedelta:
    """How much of the time since a machine's last reading counts; nothing of a gap, whose readings are to come."""
    late = result.late
    is_over_a_gap = late is not None and last is not None and last < late.gap.until <= time
    return timedelta() if is_over_a_gap else result.covers


def _interval(result: Judgement, time: datetime) -> timedelta | None:
    """Follows what passes between rounds by no more than a factor of 2: neither a hole nor a stray reading is one."""
    if result.judged_to is None:
        return None
    passed = time - result.judged_to
    return passed if result.interval is None else max(result.interval / 2, min(passed, 2 * result.interval))


def _keep(states: dict[str, State], rule: Rule, state: State) -> None:
    if state == State():
        states.pop(rule.name, None)
    else:
        states[rule.name] = state
