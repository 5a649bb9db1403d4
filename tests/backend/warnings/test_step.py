"""Every transition of the state machine: a series in, the states at its times out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.warnings.catalogue import Arming, Limit, Rule
from backend.warnings.severity import Severity
from backend.warnings.step import Change, Phase, Seen, State, Transition, from_json, step, to_json

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(warning_s: float = 180, critical_s: float | None = 30, clear_s: float = 300, *, is_armed: bool = True) -> Rule:
    """From 90 a warning, from 100 critical, over from 5 below."""
    limits = [Limit(Severity.WARNING, 90, timedelta(seconds=warning_s))]
    if critical_s is not None:
        limits.append(Limit(Severity.CRITICAL, 100, timedelta(seconds=critical_s)))
    return Rule(
        name="hot",
        scope="machine",
        field="chip_temp_c",
        compare=">=",
        limits=tuple(limits),
        clear_margin=5,
        clear_compare="<=",
        clear_for=timedelta(seconds=clear_s),
        armed_by=None if is_armed else Arming("fan_fastest_rpm", 0),
        title="Hot",
        plural="hot ones",
        says="is hot",
        first="Cool it.",
    )


def seen(token: str) -> Seen:
    match token:
        case "-":
            return Seen(None)
        case "moot":
            return Seen(None, is_moot=True)
        case _:
            return Seen(float(token.removesuffix("!")), arms=token.endswith("!"))


def letter(of: Rule, state: State) -> str:
    if state.phase is Phase.INACTIVE:
        return "."
    if state.phase is Phase.PENDING:
        return "p"
    worst = max(index for index, level in enumerate(state.levels) if level.fires)
    return of.limits[worst].severity.value[0].upper()


def play(of: Rule, series: str, state: State | None = None) -> tuple[str, list[Transition]]:
    """One value a minute; "@+3" lets three minutes pass without a reading."""
    state, letters, transitions, now = state or State(), [], [], START
    for token in series.split():
        if token.startswith("@"):
            now += int(token[1:]) * MINUTE
            continue
        state, transition = step(of, state, seen(token), now)
        letters.append(letter(of, state))
        if transition:
            transitions.append(transition)
        now += MINUTE
    return " ".join(letters), transitions


TABLE = [
    ("a good value starts nothing", rule(), "70 89.9 85", ". . .", []),
    ("a missing value starts nothing", rule(), "- - -", ". . .", []),
    ("bad for long enough fires", rule(), "91 91 91 91", "p p p W", [Change.FIRED]),
    ("the limit itself is bad", rule(), "90 90 90 90", "p p p W", [Change.FIRED]),
    ("bad for too short a time is forgotten", rule(), "91 91 91 80 91 91 91", "p p p . p p p", []),
    ("a value in between ends a pending state", rule(), "91 91 88 91 91 91", "p p . p p p", []),
    ("no duration fires at once", rule(warning_s=0), "91", "W", [Change.FIRED]),
    (
        "clear for long enough resolves",
        rule(),
        "91 91 91 91 80 80 80 80 80 80",
        "p p p W W W W W W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "the margin itself is clear",
        rule(clear_s=60),
        "91 91 91 91 85 85",
        "p p p W W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "a value in between holds what fires",
        rule(clear_s=60),
        "91 91 91 91 88 88 88 88",
        "p p p W W W W W",
        [Change.FIRED],
    ),
    (
        "a value in between starts the clearing anew",
        rule(clear_s=120),
        "91 91 91 91 80 80 88 80 80 80",
        "p p p W W W W W W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "bad again while clearing starts the clearing anew, and fires no second time",
        rule(clear_s=120),
        "91 91 91 91 80 80 91 80 80 80",
        "p p p W W W W W W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "no clearing time resolves at once",
        rule(clear_s=0),
        "91 91 91 91 80",
        "p p p W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "what resolved can fire again",
        rule(clear_s=0),
        "91 91 91 91 80 91 91 91 91",
        "p p p W . p p p W",
        [Change.FIRED, Change.RESOLVED, Change.FIRED],
    ),
    ("worse fires at its own pace, before the milder one", rule(), "101 101", "p C", [Change.FIRED]),
    (
        "a warning escalates",
        rule(),
        "91 91 91 91 101 101",
        "p p p W W C",
        [Change.FIRED, Change.ESCALATED],
    ),
    (
        "a short peak does not escalate",
        rule(critical_s=90),
        "91 91 91 91 101 91 101 91",
        "p p p W W W W W",
        [Change.FIRED],
    ),
    (
        "critical eases to a warning when its own limit is clear for long enough",
        rule(clear_s=120),
        "101 101 93 93 93",
        "p C C C W",
        [Change.FIRED, Change.EASED],
    ),
    (
        "critical eases to a warning even where the warning's time was not over",
        rule(warning_s=3600, clear_s=60),
        "101 101 88 88 88",
        "p C C W W",
        [Change.FIRED, Change.EASED],
    ),
    (
        "critical that gets good resolves as one",
        rule(clear_s=120),
        "101 101 80 80 80",
        "p C C C .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "eased, it can escalate again",
        rule(clear_s=60),
        "101 101 93 93 101 101",
        "p C C W W C",
        [Change.FIRED, Change.EASED, Change.ESCALATED],
    ),
    ("missing time does not count towards firing", rule(), "91 91 - - - 91 91 91", "p p p p p p p W", [Change.FIRED]),
    ("missing values alone never fire", rule(), "91 91 91 - - - - - -", "p p p p p p p p p", []),
    (
        "missing values do not resolve",
        rule(clear_s=60),
        "91 91 91 91 - - - - - -",
        "p p p W W W W W W W",
        [Change.FIRED],
    ),
    (
        "missing time does not count towards clearing",
        rule(clear_s=120),
        "91 91 91 91 80 80 - - - 80 80",
        "p p p W W W W W W W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    (
        "a rule that does not apply clears",
        rule(clear_s=120),
        "91 91 91 91 moot moot moot",
        "p p p W W W .",
        [Change.FIRED, Change.RESOLVED],
    ),
    ("a rule that does not apply ends a pending state", rule(), "91 91 moot", "p p .", []),
    ("unarmed it knows nothing", rule(is_armed=False), "91 91 91 91 91", ". . . . .", []),
    (
        "armed by evidence it stays armed",
        rule(is_armed=False),
        "91 70! 91 91 91 91",
        ". . p p p W",
        [Change.FIRED],
    ),
    ("evidence and a bad value may come together", rule(is_armed=False), "91! 91 91 91", "p p p W", [Change.FIRED]),
    ("a hole between two bad readings counts", rule(), "91 @+5 91", "p W", [Change.FIRED]),
]


@pytest.mark.parametrize(
    ("of", "series", "letters", "changes"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_table(of: Rule, series: str, letters: str, changes: list[Change]) -> None:
    found, transitions = play(of, series)
    assert found == letters
    assert [transition.change for transition in transitions] == changes


@pytest.mark.parametrize(
    ("of", "series", "letters", "changes"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_table_holds_when_each_state_is_stored_and_read_again(
    of: Rule, series: str, letters: str, changes: list[Change]
) -> None:
    state, found, transitions, now = State(), [], [], START
    for token in series.split():
        if token.startswith("@"):
            now += int(token[1:]) * MINUTE
            continue
        state, transition = step(of, state, seen(token), now)
        stored = to_json(of, state)
        found.append(letter(of, state))
        transitions += [transition.change] if transition else []
        state = from_json(of, json.loads(json.dumps(stored)), at=now) if stored else State(at=now)
        now += MINUTE
    assert " ".join(found) == letters
    assert transitions == changes


def test_older_readings_change_nothing() -> None:
    of, state = rule(), State()
    for minute in range(4):
        state, _ = step(of, state, Seen(91), START + minute * MINUTE)
    for late in (START - MINUTE, START, START + 3 * MINUTE):
        assert step(of, state, Seen(20), late) == (state, None)
        assert step(of, state, Seen(20), late)[0].at == state.at


def test_a_reading_speaks_for_no_more_time_than_it_covers() -> None:
    of = rule(critical_s=None)
    state, _ = step(of, State(), Seen(91), START)
    state, transition = step(of, state, Seen(91, covers=2 * MINUTE), START + timedelta(hours=1))
    assert state.phase is Phase.PENDING
    assert transition is None
    state, transition = step(of, state, Seen(91, covers=2 * MINUTE), START + timedelta(hours=1, minutes=1))
    assert transition
    assert transition.since == START  # said as it was seen, however much of it counted


def test_a_transition_says_since_when_which_value_and_which_limit() -> None:
    _, transitions = play(rule(clear_s=60), "91 92 93 94 101 102 93 93 80 80")
    fired, escalated, eased, resolved = transitions
    assert fired == Transition(Change.FIRED, Severity.WARNING, START, START + 3 * MINUTE, 94, 90)
    assert escalated == Transition(
        Change.ESCALATED, Severity.CRITICAL, START + 4 * MINUTE, START + 5 * MINUTE, 102, 100
    )
    assert eased == Transition(Change.EASED, Severity.WARNING, START, START + 7 * MINUTE, 93, 90)
    assert resolved == Transition(Change.RESOLVED, Severity.WARNING, START, START + 9 * MINUTE, 80, 90)


def test_a_state_survives_a_change_of_the_rules_severities() -> None:
    both, one = rule(), rule(critical_s=None)
    state = State()
    for minute in range(4):
        state, _ = step(both, state, Seen(91), START + minute * MINUTE)
    stored = to_json(both, state)
    assert stored
    assert letter(one, from_json(one, stored, at=None)) == "W"
    narrowed = to_json(one, from_json(one, stored, at=None))
    assert narrowed
    assert letter(both, from_json(both, narrowed, at=None)) == "W"


@given(st.lists(st.sampled_from([None, 70.0, 87.0, 92.0, 97.0, 105.0]), max_size=60))
def test_whatever_comes_changes_alternate_and_the_state_is_as_the_last_one_said(values: list[float | None]) -> None:
    of, state, fires = rule(clear_s=120), State(), False
    for minute, value in enumerate(values):
        before = state
        state, transition = step(of, state, Seen(value), START + minute * MINUTE)
        if value is None:
            assert transition is None
            assert state.levels == before.levels
        if transition is None:
            assert letter(of, state) in (letter(of, before), ".", "p")
        else:
            assert (transition.change is Change.FIRED) == (not fires)
            fires = transition.change is not Change.RESOLVED
        assert (state.phase is Phase.FIRING) == fires
        if state.levels and state.levels[1].fires:
            assert state.levels[0].fires  # what is critical is a warning too
