"""Numbers as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.console import figures


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("value_ths", "text"),
    [
        (0, "0 TH/s"),
        (0.485, "485 GH/s"),
        (0.0004, "0.40 GH/s"),
        (1, "1.00 TH/s"),
        (98.44, "98.4 TH/s"),
        (99.97, "100 TH/s"),
        (999.4, "999 TH/s"),
        (999.6, "1.00 PH/s"),
        (6421, "6.42 PH/s"),
        (1_234_567, "1.23 EH/s"),
    ],
)
def test_a_hashrate_has_three_figures_and_the_unit_that_fits(value_ths: float, text: str) -> None:
    assert plain(figures.hashrate(value_ths)) == text


@pytest.mark.parametrize(
    ("value_w", "text"),
    [(0, "0 W"), (15.24, "15.2 W"), (999.6, "1.00 kW"), (203_444, "203 kW"), (1.24e6, "1.24 MW"), (5e9, "5,000 MW")],
)
def test_a_power_has_three_figures_and_the_unit_that_fits(value_w: float, text: str) -> None:
    assert plain(figures.power(value_w)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (86_400, "1 d"),
        (3_549_700, "41 d 2 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert plain(figures.duration(timedelta(seconds=seconds))) == text
    if seconds >= 0:
        assert plain(figures.uptime(seconds)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0.4, 100, "0.4 %"), (97, 100, "97 %"), (0, 100, "0 %"), (9.96, 100, "10 %"), (1, 0, "–"), (1, None, "–")],
)
def test_small_shares_keep_a_decimal_and_a_share_of_nothing_is_missing(
    part: float, whole: float | None, text: str
) -> None:
    assert plain(figures.share(part, whole)) == text


def test_a_missing_value_is_a_dash_and_never_zero() -> None:
    texts = [
        figures.hashrate(None),
        figures.power(None),
        figures.efficiency(None),
        figures.temperature(None),
        figures.share(None, 10),
        figures.speed(None),
        figures.duration(None),
        figures.uptime(None),
    ]
    assert texts == [figures.MISSING] * len(texts)


def test_units_stand_behind_a_space_that_does_not_break() -> None:
    assert figures.temperature(78.4) == "78\u202f°C"
    assert figures.efficiency(29.53) == "29.5\u202fJ/TH"
    assert figures.speed(5820) == "5,820\u202frpm"
