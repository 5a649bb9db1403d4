"""What rules see in a reading; what is missing is not taken for a number."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.wire import Board, Pool, Reading, State
from backend.warnings.catalogue import Catalogue
from backend.warnings.fields import FIELDS, KNOWN_WITHOUT_AN_ANSWER
from backend.warnings.known import first_known
from backend.warnings.observe import is_quiet, observe
from backend.warnings.step import Seen
from tests.backend.readings import full_reading, reading

CATALOGUE = Catalogue.load()
COVERS = timedelta(minutes=3)

CASES: list[tuple[str, State, dict[str, Any], Seen]] = [
    ("machine_offline", State.UNREACHABLE, {}, Seen(1)),
    ("machine_offline", State.HASHING, {}, Seen(0)),
    ("machine_offline", State.FAULT, {}, Seen(0)),
    ("machine_not_hashing", State.IDLE, {"hashrate_ths": 0, "is_meant_to_mine": True}, Seen(0)),
    ("machine_not_hashing", State.FAULT, {"hashrate_ths": 0, "is_meant_to_mine": True}, Seen(0)),
    ("machine_not_hashing", State.HASHING, {"hashrate_ths": 0.1, "is_meant_to_mine": True}, Seen(0.1)),
    ("machine_not_hashing", State.HASHING, {"hashrate_ths": 9}, Seen(9)),
    ("machine_not_hashing", State.PAUSED, {"hashrate_ths": 0, "is_meant_to_mine": False}, Seen(0, is_moot=True)),
    ("machine_not_hashing", State.IDLE, {"hashrate_ths": 0}, Seen(None)),  # meant to mine? it does not say
    ("machine_not_hashing", State.HASHING, {"is_meant_to_mine": True}, Seen(None)),
    ("machine_not_hashing", State.UNREACHABLE, {"hashrate_ths": 0, "is_meant_to_mine": True}, Seen(None)),
    ("chip_hot", State.HASHING, {"boards": (Board(index=0, chip_temp_c=70), Board(index=1, chip_temp_c=93))}, Seen(93)),
    ("chip_hot", State.HASHING, {"boards": (Board(index=0), Board(index=1, chip_temp_c=50))}, Seen(50)),
    ("chip_hot", State.HASHING, {"boards": ()}, Seen(None)),
    ("chip_hot", State.HASHING, {}, Seen(None)),
    ("chip_hot", State.PAUSED, {"boards": (Board(index=0, chip_temp_c=101),)}, Seen(101)),
    ("fan_stopped", State.HASHING, {"fans_rpm": (5000, 0), "hashrate_ths": 90}, Seen(0, arms=True)),
    ("fan_stopped", State.HASHING, {"fans_rpm": (5000, 4000), "hashrate_ths": 90}, Seen(4000, arms=True)),
    ("fan_stopped", State.HASHING, {"fans_rpm": (0, 0), "hashrate_ths": 90}, Seen(0)),
    ("fan_stopped", State.HASHING, {"fans_rpm": (), "hashrate_ths": 90}, Seen(None)),
    ("fan_stopped", State.HASHING, {"hashrate_ths": 90}, Seen(None)),
    ("fan_stopped", State.IDLE, {"fans_rpm": (0,), "hashrate_ths": 0, "is_meant_to_mine": True}, Seen(0)),
    ("fan_stopped", State.IDLE, {"fans_rpm": (0,), "is_meant_to_mine": True}, Seen(0)),
    ("fan_stopped", State.PAUSED, {"fans_rpm": (0,), "hashrate_ths": 0, "is_meant_to_mine": False}, Seen(None)),
    ("fan_stopped", State.IDLE, {"fans_rpm": (0,), "hashrate_ths": 0}, Seen(None)),
    ("fan_stopped", State.IDLE, {"fans_rpm": (0,)}, Seen(None)),
    ("fan_stopped", State.PAUSED, {"fans_rpm": (800,), "is_meant_to_mine": False}, Seen(800, arms=True)),
]


@pytest.mark.parametrize(("rule", "state", "fields", "expected"), CASES)
def test_what_a_rule_sees(rule: str, state: State, fields: dict[str, Any], expected: Seen) -> None:
    said = reading(state=state, **fields)
    found = observe(CATALOGUE[rule], said, first_known(said), COVERS)
    assert found == Seen(expected.value, expected.is_moot, expected.arms, COVERS)


@pytest.mark.parametrize(("rule", "state", "fields", "expected"), CASES)
def test_a_quiet_reading_is_one_that_an_untouched_state_would_not_notice(
    rule: str, state: State, fields: dict[str, Any], expected: Seen
) -> None:
    of = CATALOGUE[rule]
    noticed = expected.arms or (expected.value is not None and of.is_bad(expected.value, of.limits[0]))
    if noticed:
        said = reading(state=state, **fields)
        assert not is_quiet(of, said, first_known(said))


def field_of(name: str, said: Reading) -> float | None:
    """Of a machine that was never seen before."""
    return FIELDS[name](said, first_known(said))


ALWAYS_KNOWN = KNOWN_WITHOUT_AN_ANSWER - {"declared"}


def test_a_machine_that_does_not_answer_says_nothing_but_that() -> None:
    silent = full_reading().model_copy(update={"state": State.UNREACHABLE})
    assert {name for name in FIELDS if field_of(name, silent) is not None} == ALWAYS_KNOWN


def test_every_field_of_a_full_reading_has_a_number_and_of_an_empty_one_none() -> None:
    assert {name: field_of(name, full_reading()) for name in ("hashrate_percent", "chips_working_percent")} == {
        "hashrate_percent": pytest.approx(89.37, abs=0.01),
        "chips_working_percent": pytest.approx(94.02, abs=0.01),
    }
    assert field_of("pools_alive", full_reading()) == 1
    empty = reading()
    assert {name for name in FIELDS if field_of(name, empty) is not None} == {*ALWAYS_KNOWN, "stopped", "hashes"}


def test_pools_count_as_alive_only_when_all_of_them_say() -> None:
    host = "pol-" + 16 * "0"
    assert field_of("pools_alive", reading(pools=(Pool(host=host, alive=False), Pool(host=host, alive=False)))) == 0
    assert field_of("pools_alive", reading(pools=(Pool(host=host, alive=False), Pool(host=host)))) is None


def test_a_board_answers_with_chips_or_hashes_and_a_place_between_counts() -> None:
    def missing(*boards: Board, **fields: Any) -> float | None:
        return field_of("boards_missing", reading(boards=boards, **fields))

    assert (
        missing(Board(index=0, chips_working=114), Board(index=1, hashrate_ths=30), Board(index=2, hashrate_ths=0)) == 1
    )
    assert missing(Board(index=0, chips_working=114), Board(index=2, chips_working=114)) == 1
    assert missing(Board(index=0, chips_working=114), Board(index=1)) == 1
    assert missing(Board(index=0, chips_working=0), Board(index=1, chips_working=0)) == 2
    assert missing(Board(index=0, chip_temp_c=70), Board(index=1, chip_temp_c=70)) is None
    assert missing(Board(index=0, hashrate_ths=0), Board(index=1, hashrate_ths=0)) is None  # it makes no hashes at all
    assert missing() is None


def test_nominal_values_are_those_of_the_model_in_its_normal_mode() -> None:
    said: dict[str, Any] = {"make": "Antminer", "model": "S19 Pro", "hashrate_ths": 100, "expected_ths": 110}
    assert field_of("efficiency_percent", reading(power_w=2950, **said)) == pytest.approx(100)
    assert field_of("power_percent", reading(power_w=3245, **said)) == pytest.approx(100)
    assert field_of("power_percent", reading(power_w=3245, power_mode="High", **said)) is None
    assert field_of("power_percent", reading(power_w=3245, **said | {"model": "S1"})) is None
    assert field_of("efficiency_percent", reading(power_w=3245, **said | {"hashrate_ths": 0})) is None


@pytest.mark.parametrize(
    ("codes", "level"),
    [
        ((), 0),
        (("whatsminer:9999", "homemade:1"), 0),
        (("whatsminer:2020",), 1),
        (("whatsminer:600", "whatsminer:2020"), 2),
        (("whatsminer:600", "whatsminer:350"), 3),
        (None, None),
    ],
)
def test_a_fault_is_as_bad_as_its_worst_catalogued_code(codes: tuple[str, ...] | None, level: float | None) -> None:
    assert field_of("fault_level", reading(fault_codes=codes)) == level
