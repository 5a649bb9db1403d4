"""What is remembered of a machine beside its rules' states: restarts, shares, its usual hashrate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from agent.wire import Reading, State
from backend.warnings import known as memory
from backend.warnings.declared import Declaration, assigned
from backend.warnings.known import Known, first_known, is_worth_saving, remembered
from tests.backend.readings import at, reading


def after(readings: Iterable[Reading]) -> Known:
    known: Known | None = None
    for each in readings:
        known = remembered(known or first_known(each), each)
    assert known is not None
    return known


def saved_and_read(known: Known) -> Known:
    def time(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)

    return memory.from_json(
        memory.to_json(known),
        make=known.make,
        model=known.model,
        first_at=time(known.first_at),
        seen_at=time(known.seen_at),
        at=time(known.at),
    )


def shares(minute: int, accepted: int, rejected: int) -> Reading:
    return reading(1, at(minute), shares_accepted=accepted, shares_rejected=rejected)


def test_rejected_shares_are_those_of_the_last_ten_minutes() -> None:
    known = after(shares(minute, 10 * minute, 0 if minute < 15 else minute - 15) for minute in range(21))
    assert known.rejects_percent == 100 * 5 / 105
    assert len(known.shares) // 3 == 11  # a count a minute, and the one at the window's beginning
    assert saved_and_read(known).rejects_percent == known.rejects_percent


def test_a_few_shares_say_nothing() -> None:
    assert after(shares(minute, 0, minute) for minute in range(10)).rejects_percent is None


def test_polls_every_few_seconds_are_not_remembered_each() -> None:
    known = after(shares(0, 0, 0) if number == 0 else reading(
        1, at(number / 12), shares_accepted=number, shares_rejected=0) for number in range(240))  # fmt: skip
    assert len(known.shares) // 3 <= 12


def test_counters_that_begin_anew_begin_a_window() -> None:
    known = after([shares(0, 5000, 400), shares(1, 5010, 401), shares(2, 30, 0)])
    assert known.rejects_percent == 0


def test_an_uptime_that_is_less_than_before_or_than_the_time_between_is_a_restart() -> None:
    def restarts(*said: tuple[float, float | None]) -> int:
        return len(after(reading(1, at(minute), uptime_s=uptime_s) for minute, uptime_s in said).resets)

    assert restarts((0, 3600), (1, 3660), (2, 3720)) == 0
    assert restarts((0, 3600), (1, 20), (2, 80)) == 1
    assert restarts((0, 60), (1, None), (30, 300)) == 1  # longer than before, and it cannot have run all the time
    assert restarts((0, 3600), (1, 3600), (2, 3600)) == 0
    assert restarts((0, 3600), (1, 0), (2, 60), (62, 3600)) == 0  # an hour ago


def test_the_usual_hashrate_is_the_median_of_a_day_without_what_it_was_stopped_for() -> None:
    def day(minute: int) -> dict[str, Any]:
        if minute < 120:
            return {"hashrate_ths": 100.0}
        return {"hashrate_ths": 0.0} if minute < 300 else {"hashrate_ths": 30.0, "is_meant_to_mine": False}

    known = after(reading(1, at(minute), **day(minute)) for minute in range(0, 420, 5))
    assert known.usual_ths == 100
    assert saved_and_read(known).usual_ths == 100
    assert after([reading(1, at(0), hashrate_ths=100.0)]).usual_ths is None
    nominal = (reading(1, at(minute), hashrate_ths=100.0, expected_ths=110.0) for minute in range(0, 420, 5))
    assert after(nominal).usual is None  # nobody needs it


def test_a_day_later_the_usual_hashrate_is_the_new_one() -> None:
    known = after(
        reading(1, at(minute), hashrate_ths=100.0 if minute < 600 else 60.0) for minute in range(0, 600 + 25 * 60, 10)
    )
    assert known.usual_ths == 60
    assert known.usual is not None
    assert len(known.usual.closed) // 3 <= 49


def test_a_machine_that_is_well_is_written_once_an_hour() -> None:
    before: Known | None = None
    written = 0
    for minute in range(180):
        said = reading(
            1, at(minute), uptime_s=3600.0 + 60 * minute, shares_accepted=minute, shares_rejected=0,
            expected_ths=110.0, hashrate_ths=110.0,
        )  # fmt: skip
        known = remembered(before or first_known(said), said)
        written += is_worth_saving(before, known)
        before = known
    assert written == 3


def test_since_when_a_machine_is_away_is_written_when_it_goes() -> None:
    there = after([reading(1, at(0))])
    away = remembered(there, reading(1, at(1), State.UNREACHABLE))
    assert is_worth_saving(there, away)
    assert not is_worth_saving(away, remembered(away, reading(1, at(2), State.UNREACHABLE)))
    assert saved_and_read(away).seen_at == at(0).timestamp()


def test_of_more_machines_than_are_declared_the_newest_are_unknown() -> None:
    def of(number: int, minutes: float, **fields: Any) -> Known:
        return after([reading(number, at(minutes), **({"make": "Antminer", "model": "S19 Pro"} | fields))])

    known = {"a": of(1, 0), "b": of(2, 10), "c": of(3, 20), "other": of(4, 0, make="MicroBT", model="M50")}
    two = [Declaration(brand="antminer", model="S19-Pro", quantity=2)]
    now = at(30).timestamp()
    assert assigned(two, known, now) == {"a": True, "b": True, "c": False, "other": False}
    # One that was not seen for a day makes room.
    later = known | {"b": of(2, 24 * 60 + 10), "c": of(3, 24 * 60 + 20)}
    assert assigned(two, later, at(25 * 60).timestamp())["c"] is True
    assert assigned([], known, now) == dict.fromkeys(known)
    named = [Declaration(brand="any", model="any", quantity=1, machines=frozenset({"other"}))]
    assert assigned(two + named, known, now)["other"] is True
    # One that does not say what it is may be a declared one, as long as one was not found.
    silent = known | {"d": of(5, 0, make=None, model=None)}
    assert assigned([Declaration(brand="Antminer", model="S19 Pro", quantity=9)], silent, now)["d"] is None
    assert assigned(two, silent, now)["d"] is False
