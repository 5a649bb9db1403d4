"""Judging readings in memory: in their own time, each machine by itself, nothing changed until it is adopted."""

from __future__ import annotations

from datetime import timedelta

from agent.wire import Board, Reading, State
from backend.warnings.catalogue import Catalogue
from backend.warnings.judgement import Judgement
from backend.warnings.ledger import Ledger
from backend.warnings.overrides import Override, Rulebook
from backend.warnings.step import Change
from tests.backend.readings import SITE, at, machine, reading


def ledger(*overrides: Override, paused: frozenset[str] = frozenset()) -> Ledger:
    book = Rulebook(Catalogue.load(), {}, overrides, SITE)
    return Ledger(book, version=0, judged_to=None, interval=None, states={}, paused=paused)


def hot(number: int, minute: float, temp_c: float = 95) -> Reading:
    return reading(number, at(minute), boards=(Board(index=0, chip_temp_c=temp_c),))


def changes(judgement: Judgement) -> list[tuple[str, str, Change]]:
    return [(event.machine, event.rule, event.change) for event in judgement.events]


def test_judging_changes_nothing_until_it_is_adopted() -> None:
    book = ledger()
    first = book.judge(hot(1, minute) for minute in range(4))
    again = book.judge(hot(1, minute) for minute in range(4))
    assert changes(first) == changes(again) == [(machine(1), "chip_hot", Change.FIRED)]
    book.adopt(first, 1)
    assert changes(book.judge([hot(1, 4)])) == []


def test_machines_are_judged_apart_and_readings_in_the_order_of_their_times() -> None:
    book = ledger()
    readings = [hot(number, minute) for minute in (3, 1, 0, 2) for number in (1, 2)] + [hot(3, 0), hot(3, 3, 70)]
    assert sorted(changes(book.judge(readings))) == [
        (machine(1), "chip_hot", Change.FIRED),
        (machine(2), "chip_hot", Change.FIRED),
    ]


def test_only_changed_states_are_to_be_written() -> None:
    book = ledger()
    book.adopt(start := book.judge([hot(1, 0), hot(2, 0, 60)]), 1)
    assert list(start.states) == [(machine(1), "chip_hot")]
    book.adopt(pending := book.judge([hot(1, 1), hot(2, 1, 60)]), 2)
    assert pending.states == {}
    book.adopt(back := book.judge([hot(1, 2, 60), hot(2, 2, 60)]), 3)
    assert back.states == {(machine(1), "chip_hot"): None}


def test_an_older_reading_is_history_and_judged_no_more() -> None:
    book = ledger()
    book.adopt(book.judge(hot(1, minute) for minute in range(4)), 1)
    late = book.judge([hot(1, 2, 20), hot(1, 3, 20)])
    assert (late.too_old, late.events, late.states) == (2, [], {})


def test_after_a_restart_older_readings_of_any_machine_are_history() -> None:
    book = Ledger(
        Rulebook(Catalogue.load(), {}, (), SITE),
        version=7,
        judged_to=at(10),
        interval=timedelta(minutes=1),
        states={},
        paused=frozenset(),
    )
    assert book.judge([hot(1, 8), hot(1, 9)]).too_old == 2
    # Of the same round, other machines may still come.
    assert book.judge([hot(1, 10), hot(2, 10)]).too_old == 0


def test_a_hole_without_readings_counts_no_more_than_three_intervals() -> None:
    book = ledger()
    steady = [reading(1, at(minute), State.HASHING) for minute in range(5)]
    down = [reading(1, at(minute), State.UNREACHABLE) for minute in (5, 65, 66, 67)]
    assert changes(book.judge(steady + down[:2])) == []  # 3 min counted
    assert changes(book.judge(steady + down)) == [(machine(1), "machine_offline", Change.FIRED)]  # 3 + 1 + 1


def test_a_site_that_polls_slowly_is_judged_by_its_own_interval() -> None:
    book = ledger()
    steady = [reading(1, at(10 * minute), State.HASHING) for minute in range(3)]
    down = [reading(1, at(10 * minute), State.UNREACHABLE) for minute in (3, 4)]
    assert changes(book.judge(steady + down)) == [(machine(1), "machine_offline", Change.FIRED)]


def test_a_paused_machine_raises_nothing() -> None:
    book = ledger(paused=frozenset({machine(1)}))
    assert changes(book.judge([hot(n, minute) for minute in range(9) for n in (1, 2)])) == [
        (machine(2), "chip_hot", Change.FIRED)
    ]


def test_a_machines_own_limits_are_its_own() -> None:
    book = ledger(Override(rule="chip_hot", numbers={"warning": 60}, machine=machine(2)))
    assert changes(book.judge([hot(n, minute, 70) for minute in range(9) for n in (1, 2)])) == [
        (machine(2), "chip_hot", Change.FIRED)
    ]


def test_what_fires_by_a_rule_that_is_off_now_is_over() -> None:
    book = ledger()
    book.adopt(book.judge(hot(1, minute) for minute in range(4)), 1)
    book.rulebook = Rulebook(Catalogue.load(), {"chip_hot": {"enabled": 0}}, (), SITE)
    judgement = book.judge([hot(1, 4)])
    assert [(event.change, event.resolution) for event in judgement.events] == [(Change.RESOLVED, "switched_off")]
    assert judgement.states == {(machine(1), "chip_hot"): None}


def test_a_model_without_a_fan_that_ever_turned_has_no_stopped_fan() -> None:
    book = ledger()
    wet = [reading(1, at(minute), hashrate_ths=90, fans_rpm=(0, 0)) for minute in range(9)]
    dry = [reading(2, at(minute), hashrate_ths=90, fans_rpm=(0 if minute else 5000,)) for minute in range(9)]
    assert changes(book.judge(wet + dry)) == [(machine(2), "fan_stopped", Change.FIRED)]
