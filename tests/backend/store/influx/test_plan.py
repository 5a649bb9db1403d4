"""Which data answers which steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.store.influx import plan
from backend.store.influx.plan import Data
from backend.store.influx.schema import DAY_US, HOUR_US
from backend.store.influx.times import microseconds
from backend.store.protocol import SeriesQuery
from tests.backend.readings import NOW, machine

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW_US = microseconds(NOW)


def data(**changes: Any) -> Data:
    values: dict[str, Any] = {
        "raw": ("raw",),
        "raw_from_us": NOW_US - 10 * DAY_US,
        "rolled": {"5m": ("5m",), "1h": ("1h",)},
        "rolled_from_us": NOW_US - 100 * DAY_US,
        "stale_hours_us": (),
        "end_us": NOW_US + DAY_US,
    }
    return Data(**(values | changes))


def planned(given: Data, **asked: Any) -> list[tuple[str, str, float, float]]:
    """What of which bucket, from and to in hours after `NOW`."""
    query: dict[str, Any] = {"metric": "power_w", "start": NOW - 6 * HOUR, "end": NOW, "step": HOUR, "across": "max"}
    return [
        (one.of, one.buckets[0], (one.start_us - NOW_US) / HOUR_US, (one.end_us - NOW_US) / HOUR_US)
        for one in plan.segments(SeriesQuery(**(query | asked)), given)
    ]


def test_rollups_answer_what_is_not_stale_and_points_the_rest() -> None:
    stale = (NOW_US - 3 * HOUR_US, NOW_US - 1 * HOUR_US)
    assert planned(data(stale_hours_us=stale)) == [
        ("rollups", "1h", -6, -3),
        ("points", "raw", -3, -2),
        ("rollups", "1h", -2, -1),
        ("points", "raw", -1, 0),
    ]


def test_a_step_is_answered_from_one_kind_of_data_as_a_whole() -> None:
    found = planned(data(stale_hours_us=(NOW_US - 3 * HOUR_US,)), step=3 * HOUR)
    assert found == [("rollups", "1h", -6, -3), ("points", "raw", -3, 0)]


def test_a_last_step_that_is_cut_needs_the_points() -> None:
    assert planned(data(), end=NOW - timedelta(minutes=10))[-1] == ("points", "raw", -1, -1 / 6)


@pytest.mark.parametrize(
    ("step", "bucket"),
    [(timedelta(minutes=5), "5m"), (timedelta(minutes=15), "5m"), (HOUR, "1h"), (2 * HOUR, "1h"), (DAY, "1h")],
)
def test_the_coarsest_grain_that_steps_are_made_of_is_taken(step: timedelta, bucket: str) -> None:
    assert {one[1] for one in planned(data(), step=step, start=NOW.replace(hour=0), end=NOW.replace(hour=0) + DAY)} == {
        bucket
    }


@pytest.mark.parametrize(
    "asked",
    [
        {"step": timedelta(minutes=7)},
        {"step": timedelta(minutes=1)},
        {"aggregate": "last"},
        {"aggregate": "p95"},
        {"across": "last"},
        {"metric": "is_hashing", "aggregate": "max"},
    ],
)
def test_what_rollups_do_not_tell_comes_from_the_points(asked: dict[str, Any]) -> None:
    assert {one[0] for one in planned(data(), **asked)} == {"points"}


@pytest.mark.parametrize(
    ("asked", "of"),
    [
        ({"across": "sum"}, "totals"),
        ({"across": "mean"}, "totals"),
        ({"across": "count"}, "totals"),
        ({"across": "sum", "step": timedelta(minutes=5)}, "totals"),
        ({"across": "sum", "step": 2 * HOUR}, "rollups"),
        ({"across": "sum", "machines": (machine(1),)}, "rollups"),
        ({"across": "sum", "aggregate": "max"}, "rollups"),
        ({"across": None}, "rollups"),
    ],
)
def test_totals_answer_what_they_are_totals_of(asked: dict[str, Any], of: str) -> None:
    assert {one[0] for one in planned(data(), **asked)} == {of}


def test_nothing_past_its_window_is_read() -> None:
    given = data(stale_hours_us=(NOW_US - 20 * DAY_US, NOW_US - 10 * DAY_US - HOUR_US))
    found = planned(given, start=NOW - 200 * DAY, end=NOW.replace(hour=0) - 9 * DAY, step=DAY, across=None)
    assert {one[0] for one in found} == {"rollups"}, "what the raw window has left is not there to be read"
    assert min(one[2] for one in found) == -100 * 24
    assert planned(given, start=NOW - 200 * DAY, step=timedelta(minutes=1)) == [("points", "raw", -10 * 24, 0)]
    assert planned(given, start=NOW - 300 * DAY, end=NOW - 200 * DAY) == []


def test_a_century_is_asked_for_in_few_pieces() -> None:
    found = planned(data(), start=datetime(1980, 1, 1, tzinfo=UTC), end=datetime(2090, 1, 1, tzinfo=UTC), across=None)
    assert len(found) == 9
    assert [one[3] for one in found[:-1]] == [one[2] for one in found[1:]], "without a gap"
