"""Where the rules stand for the machines of one site, in memory; judging readings changes nothing here.

`judge` is pure: it says what would be so afterwards. `adopt` makes it so, and is called when the database has it.
Cost follows the readings that arrive. Only what is not plainly inactive is held per rule, so that a healthy machine
costs one time.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from agent.wire import MachineId, Reading
from agent.wire import State as ReadingState
from backend.warnings.alike import NO_STATES, Alike, Outcome
from backend.warnings.backlog import close_gap, hear_late, is_in_gap, open_gap
from backend.warnings.declared import Declaration, assigned, placed, undiscovered
from backend.warnings.event import Event
from backend.warnings.judgement import Judgement, Track
from backend.warnings.known import DAY_S, HOUR_S, Known, first_known, is_worth_saving, remembered
from backend.warnings.overrides import Applying, Rulebook
from backend.warnings.past import Late
from backend.warnings.step import State

FEWEST: Final = 5
"""Of fewer machines, a share says nothing of the site."""

UNSEEN: Final = "unseen_h"
"""The field of a machine that needs no reading of it."""

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
        self._counted = rulebook.of_ill_machines()
        self._tracks = self._standing(states)
        self._known = dict(known)
        self._declarations = declarations
        self._gone: frozenset[str] = frozenset()
        self._undiscovered: int | None = None
        self._hour: float | None = None  # of the last look at machines that are not reported
        self._ill = {machine for machine, track in self._tracks.items() if track.is_ill}

    def _standing(self, states: Mapping[str, Mapping[str, State]]) -> dict[str, Track]:
        """Machines that share their states share a track."""
        if self._floor is None:
            return {}
        track = Alike(self._counted).track
        shared = {id(of): track(self._floor, of) for of in {id(of): of for of in states.values()}.values()}
        return {machine: shared[id(of)] for machine, of in states.items()}

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
        alike, tracks = Alike(self._counted), ChainMap(result.tracks, self._tracks)
        self._meet(readings, alike, result)
        if result.late is not None and unsent_since is not None and unsent_since >= result.late.gap.until:
            close_gap(result, result.late, self.rulebook, tracks, alike)
        for reading in readings:
            if result.judged_to is not None and reading.time > result.judged_to:
                open_gap(result, self.rulebook, tracks, reading.time, unsent_since)
            self._judge(reading, alike, result)
            if result.judged_to is None or reading.time > result.judged_to:
                result.go_on_to(reading.time)
        self._count(result)
        return result

    def _meet(self, readings: Sequence[Reading], alike: Alike, result: Judgement) -> None:
        """Machines that are new; and once an hour, those that are not reported any more."""
        for reading in readings:
            if reading.machine not in self._known and reading.machine not in result.known:
                result.known[reading.machine] = first_known(reading)
                result.to_save.add(reading.machine)
        result.met = len(result.known)
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
            self._miss(known, {reading.machine for reading in readings}, at, alike, result)

    def _miss(self, known: Mapping[str, Known], here: Set[str], at: float, alike: Alike, result: Judgement) -> None:
        """Judge the declared machines of which no reading comes: all that is known of them is for how long."""
        time = datetime.fromtimestamp(at, UTC)
        for machine, each in known.items():
            if machine in here or not each.is_declared or machine in self._paused or at - each.seen_at < DAY_S:
                continue
            track = self._tracks.get(machine) or Track(self._floor or time - _INSTANT, NO_STATES)
            absent = Reading(machine=MachineId(machine), time=time, state=ReadingState.UNREACHABLE)
            found = self.rulebook.of_machine(machine, each.make, each.model)
            unseen = Applying(tuple(rule for rule in found.rules if rule.field == UNSEEN), (), found.names)
            outcome = alike.of_rules(unseen, absent, each._replace(at=at), track, track.at, timedelta.max)
            self._bring_about(machine, outcome._replace(track=outcome.track._replace(at=track.at)), result)

    def _judge(self, reading: Reading, alike: Alike, result: Judgement) -> None:
        machine = reading.machine
        track = result.tracks.get(machine) or self._tracks.get(machine)
        last = track.at if track is not None else self._floor
        if last is not None and reading.time <= last:
            late = result.late
            if late is not None and is_in_gap(late, reading.time) and machine not in self._paused:
                live = result.known.get(machine) or self._known[machine]
                hear_late(result, late, self.rulebook, reading, live)
            else:
                result.too_old += 1
            return
        met = result.known.get(machine) or self._known[machine]
        known = result.known[machine] = remembered(met, reading)
        if is_worth_saving(met, known):
            result.to_save.add(machine)
        if machine in self._paused:
            result.tracks[machine] = Track(reading.time, track.states if track is not None else NO_STATES)
            return
        applying = self.rulebook.of_machine(machine, reading.make, reading.model)
        covers = _covers(result, last, reading.time)
        self._bring_about(machine, alike.outcome(applying, reading, known, track, last, covers), result)

    def _bring_about(self, machine: str, outcome: Outcome, result: Judgement) -> None:
        track, stored, events = outcome
        result.tracks[machine] = track
        for rule, state in stored:
            result.states[machine, rule] = state
        for event in events:
            result.events.append(Event(machine, *event[1:]))
        if track.is_ill is not result.ill.get(machine, machine in self._ill):
            result.ill[machine] = track.is_ill

    def _count(self, result: Judgement) -> None:
        """How many machines there are, and how many of those have a warning; only those that were judged are asked."""
        gone = self._gone if result.gone is None else result.gone
        if gone and result.judged_to is not None:
            since = result.judged_to.timestamp() - DAY_S
            gone -= {machine for machine, each in result.known.items() if machine in gone and each.at > since}
        result.gone = gone
        if result.undiscovered is None:
            result.undiscovered = self._undiscovered
        ill = len(self._ill) + sum(
            1 if is_ill else -1 for machine, is_ill in result.ill.items() if is_ill is not (machine in self._ill)
        )
        ill -= sum(result.ill.get(machine, machine in self._ill) for machine in gone)
        machines = len(self._known) + result.met - len(gone)
        result.ill_percent = 100 * ill / machines if machines >= FEWEST else 0.0

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
        for machine, is_ill in judgement.ill.items():
            (self._ill.add if is_ill else self._ill.discard)(machine)


def _covers(result: Judgement, last: datetime | None, time: datetime) -> timedelta:
    """How much of the time since a machine's last reading counts; nothing of a gap, whose readings are to come."""
    late = result.late
    is_over_a_gap = late is not None and last is not None and last < late.gap.until <= time
    return timedelta() if is_over_a_gap else result.covers
