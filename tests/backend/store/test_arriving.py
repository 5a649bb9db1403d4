"""What arrives as columns is what the catalogue of metrics says of each reading."""

from __future__ import annotations

import pytest

from agent.wire import Board, Reading
from backend.store.arriving import arrived
from backend.store.columns import STORED
from backend.store.metrics import METRICS
from tests.backend.readings import at, batch, full_reading, reading

MOST = 2**53
READINGS = [
    full_reading(1),
    reading(2),
    reading(3, boards=(), fans_rpm=(), fault_codes=(), pools=()),
    reading(4, boards=(Board(index=0), Board(index=1)), fans_rpm=(0,), fault_codes=("a:1", "b:2")),
    reading(
        5, boards=(Board(index=0, hashrate_ths=0, chip_temp_c=-3.25), Board(index=2, hashrate_ths=9, chip_temp_c=71))
    ),
    reading(6, boards=(Board(index=0, chips_working=3), Board(index=1, chips_working=None, chips_expected=4))),
    reading(7, boards=tuple(Board(index=index, chips_working=MOST) for index in range(64)), shares_accepted=MOST),
    reading(8, at(1), is_meant_to_mine=False, pool_expected=True, hashrate_ths=0.0005),
]


def scaled(metric: str, of: Reading) -> int | None:
    value = METRICS[metric].of(of)
    return None if value is None else round(value * 10 ** METRICS[metric].decimals)


@pytest.mark.parametrize("metric", STORED)
def test_each_number_is_what_the_catalogue_says_of_its_reading(metric: str) -> None:
    rows = arrived([batch(READINGS[:3]), batch(READINGS[3:])]).readings
    assert rows["machine"].to_pylist() == [each.machine for each in READINGS]
    assert rows[metric].to_pylist() == [scaled(metric, each) for each in READINGS]


def test_a_board_has_its_readings_time_and_machine() -> None:
    rows = arrived([batch(READINGS)]).boards.to_pylist()
    assert [(row["machine"], row["time"], row["index"]) for row in rows] == [
        (each.machine, each.time.replace(tzinfo=None), board.index) for each in READINGS for board in each.boards or ()
    ]


@pytest.mark.parametrize("readings", [[], [reading(1)]])
def test_there_may_be_no_board_at_all(readings: list[Reading]) -> None:
    assert arrived([batch(readings)]).boards.num_rows == 0
