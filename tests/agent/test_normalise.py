"""Numbers and names as they come, and as they leave."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import normalise
from agent.pseudonym import _FAULT_CODE

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(ANYTHING)
def test_nothing_that_a_machine_says_becomes_a_wrong_number(value: object) -> None:
    for function in (normalise.number, normalise.positive, normalise.count, normalise.volts):
        found = function(value)
        assert found is None or math.isfinite(found)
    for celsius in (normalise.air_c(value), normalise.chip_c(value), normalise.board_c(value, "Antminer")):
        assert celsius is None or -60 <= celsius <= 250
    rate = normalise.ths(value, 1e12)
    assert rate is None or (rate >= 0 and math.isfinite(rate))


@pytest.mark.parametrize("value", [None, True, float("nan"), float("inf"), "", "n/a", [], 10**400, "0x10"])
def test_what_is_no_number_is_none(value: object) -> None:
    assert normalise.number(value) is None


def test_a_0_that_a_machine_means_stays_0() -> None:
    assert normalise.count(0) == 0
    assert normalise.count(0.0) == 0
    assert normalise.ths(0, 1e9) == 0
    assert normalise.air_c(0) == 0


def test_absent_sensors_are_none() -> None:
    assert normalise.air_c(-273.0) is None
    assert normalise.chip_c(0) is None
    assert normalise.hottest(["0", "", "-273", None]) is None
    assert normalise.hottest(["71", 78, "0"]) == 78
    assert normalise.board_c(70, "Avalon") is None


@pytest.mark.parametrize(
    ("rate", "unit", "ths"),
    [
        (110_566.89, 1e9, 110.56689),
        (5e11, 1, 0.5),
        (67_394_800.97, 1e6, 67.39480097),
        (1.5, 1e15, 1500),
        (9.5, 1e9, 0.0095),
    ],
    ids=["GH", "H", "MH", "PH", "scrypt GH"],
)
def test_a_hashrate_is_converted_by_the_unit_that_it_comes_with(rate: float, unit: float, ths: float) -> None:
    assert normalise.ths(rate, unit) == pytest.approx(ths)


def test_millivolts_become_volts() -> None:
    assert normalise.volts(5175) == pytest.approx(5.175)
    assert normalise.volts(12.6) == 12.6
    assert normalise.volts(0) is None


@pytest.mark.parametrize(
    ("shares", "total"),
    [([148, 0, 0], 148), ([100, 20, 3], 123), ([7, 7], 7), ([0, 0], 0), ([None, 5], 5), ([], None), ([None], None)],
    ids=["one pool works", "three pools", "one count at each pool", "none", "one says", "no pool", "none says"],
)
def test_shares_of_pools_are_added_up_unless_each_pool_tells_the_machine_s(
    shares: list[object], total: int | None
) -> None:
    assert normalise.total(shares) == total


@pytest.mark.parametrize(
    ("name", "make", "model"),
    [
        ("S19Pro", "Antminer", "S19 Pro"),
        ("Antminer S19 Pro", "Antminer", "S19 Pro"),
        ("S19jPro", "Antminer", "S19j Pro"),
        ("S19XP", "Antminer", "S19 XP"),
        ("S21Plus", "Antminer", "S21+"),
        ("S19ProPlusHydro", "Antminer", "S19 Pro+ Hydro"),
        ("M20SV10", "Whatsminer", "M20S V10"),
        ("M30S++_VH50", "Whatsminer", "M30S++ VH50"),
        ("M30SPlusPlusVH50", "Whatsminer", "M30S++ VH50"),
        ("Avalon 1566", "Avalon", "1566"),
        ("AvalonMiner 1246", "Avalon", "1246"),
        ("Supra", "BitAxe", "Supra"),
        ("KS3M", "IceRiver", "KS3M"),
        ("", "Antminer", None),
        (None, None, None),
    ],
)
def test_a_model_has_one_name_whichever_library_says_it(name: str | None, make: str | None, model: str | None) -> None:
    assert normalise.model_name(name, make) == model


@pytest.mark.parametrize(
    ("said", "make"),
    [
        ("AntMiner", "Antminer"),
        ("Avalonminer", "Avalon"),
        ("WhatsMiner", "Whatsminer"),
        ("Bitaxe", "BitAxe"),
        ("New Co", "New Co"),
    ],
)
def test_a_maker_has_one_name(said: str, make: str) -> None:
    assert normalise.make_name(said) == make


@given(st.none() | st.text(), st.none() | st.integers() | st.text())
def test_a_fault_code_always_fits_the_contract(make: str | None, code: object) -> None:
    assert _FAULT_CODE.fullmatch(normalise.fault_code(make, code))


def test_a_fault_without_a_code_is_told_without_its_words() -> None:
    assert normalise.fault_code("Antminer", 0) == "antminer:uncoded"
    assert normalise.fault_code("Whatsminer", 530) == "whatsminer:530"
    assert normalise.fault_code(None, "J0:1") == "unknown:J01"
