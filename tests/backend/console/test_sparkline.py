"""Small charts: where their lines are, and where they are not."""

from __future__ import annotations

import re
from datetime import timedelta
from xml.etree import ElementTree

from backend.console.sparkline import Points, sparkline, stripe
from tests.backend.console.farms import NOW

HOUR = timedelta(hours=1)


def points(*minutes_and_values: tuple[int, float]) -> Points:
    return [(NOW - HOUR + timedelta(minutes=minute), value) for minute, value in minutes_and_values]


def drawn(data: Points, **options: float | None) -> str:
    return str(sparkline(data, start=NOW - HOUR, end=NOW, width=60, height=24, **options))  # type: ignore[arg-type] # any of its numbers


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each line in the chart."""
    found = []
    for path in ElementTree.fromstring(svg).iter():
        if path.get("class") == "spark-line":
            pairs = re.findall(r"([-\d.]+) ([-\d.]+)", path.attrib["d"])
            found.append([(float(x), float(y)) for x, y in pairs])
    return found


def test_a_line_runs_from_left_to_right_and_up_is_more() -> None:
    (line,) = lines(drawn(points((0, 10), (30, 20), (60, 30))))
    assert [x for x, _ in line] == [0, 30, 60]
    ys = [y for _, y in line]
    assert ys == sorted(ys, reverse=True)
    assert all(0 <= y <= 24 for y in ys)


def test_missing_readings_leave_a_gap_in_the_line() -> None:
    svg = drawn(points(*((minute, 5.0) for minute in range(10)), *((minute, 5.0) for minute in range(40, 50))))
    assert [len(line) for line in lines(svg)] == [10, 10]


def test_a_lonely_point_is_a_dot() -> None:
    svg = drawn(points((30, 5)))
    assert 'class="spark-line" d="M30.0 18.8h0"' in svg
    assert "spark-area" not in svg


def test_no_data_draws_nothing() -> None:
    assert lines(drawn([])) == []
    assert "expected" not in drawn([], expected=5)


def test_points_outside_the_window_are_left_out() -> None:
    (line,) = lines(drawn(points((-5, 1), (10, 2), (20, 2), (65, 9))))
    assert [x for x, _ in line] == [10, 20]


def test_zero_is_at_the_bottom_when_asked_for_and_noise_stays_small() -> None:
    (from_zero,) = lines(drawn(points((0, 99), (60, 100)), low=0))
    assert max(y for _, y in from_zero) < 6  # both near the top
    (calm,) = lines(drawn(points((0, 99), (60, 100)), least_span=20))
    assert abs(calm[0][1] - calm[1][1]) <= 2
    (wild,) = lines(drawn(points((0, 99), (60, 100))))
    assert abs(wild[0][1] - wild[1][1]) > 15


def test_what_is_expected_is_inside_the_picture() -> None:
    svg = drawn(points((0, 10), (60, 10)), expected=100)
    y = float(re.search(r'spark-expected" d="M0 ([\d.]+)H60', svg)[1])  # type: ignore[index] # it is there
    assert 0 <= y < lines(svg)[0][0][1]


def test_a_label_makes_it_an_image_and_is_escaped() -> None:
    svg = sparkline(points((0, 1)), start=NOW - HOUR, end=NOW, label='a "b" <c>')
    assert ElementTree.fromstring(str(svg)).attrib["aria-label"] == 'a "b" <c>'
    assert 'aria-hidden="true"' in drawn(points((0, 1)))


def test_there_is_no_inline_style_or_script_in_it() -> None:
    svg = drawn(points((0, 1), (1, 2)), expected=3) + str(stripe({"hashing": 3, "idle": 1}))
    assert not re.search(r"style=|<script|\son\w+=", svg)


def test_a_stripe_is_parted_by_the_counts() -> None:
    parts = list(ElementTree.fromstring(str(stripe({"idle": 1, "fault": 0, "hashing": 3}))))
    assert [(part.attrib["class"], float(part.attrib["x"]), float(part.attrib["width"])) for part in parts] == [
        ("part idle", 0, 25),
        ("part hashing", 25, 75),
    ]
    assert list(ElementTree.fromstring(str(stripe({})))) == []
