"""A farm's month in the embedded engine, made by the engine itself: a reading and three boards a machine and minute.

Machines differ, and each number has noise of its own, for noise is what takes space: hashrate ± 1 % at a resolution of
0.01 TH/s, power ± 0.4 %, temperatures in whole degrees over a day's course, shares that grow, one machine in a hundred
that is off for an hour a day.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

from backend.ids import AccountId
from backend.store import rollups, sealing
from backend.store.columns import Kind
from backend.store.embedded import EmbeddedStore
from backend.store.hot import HotFile, naive, touch

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


def fill(store: EmbeddedStore, account: AccountId, *, machines: int, days: int, end: datetime, now: datetime) -> float:
    """So many sealed days before `end`, and the hours from there to `now` in the hot file; seconds of all of it.

    Sealed days are written as sealing writes them, without their way through the hot file.
    """
    began_s = time.perf_counter()
    with store.file(account) as file:
        for number in range(days):
            _sealed(file, machines, end - DAY * (days - number))
        hour = end
        while hour < now:
            _hot(file, machines, hour)
            hour += HOUR
        rollups.roll(file, now=now)
    return time.perf_counter() - began_s


def _sealed(file: HotFile, machines: int, start: datetime) -> None:
    day = start.date()
    with file.reading() as cursor:
        made = [
            sealing.write_file(file, cursor, kind, day, sql.format(start=naive(start), minutes=1440, machines=machines))
            for kind, sql in _ROWS.items()
        ]
    with file.writing() as cursor:
        sealing.count(cursor, [one for one in made if one is not None], [])
    sealing.seal(file, day)  # its rollups


def _hot(file: HotFile, machines: int, hour: datetime) -> None:
    with file.writing() as cursor:
        commit = file.next_commit()
        for kind, sql in _ROWS.items():
            rows = sql.format(start=naive(hour), minutes=60, machines=machines)
            cursor.execute(f"INSERT INTO {kind} BY NAME SELECT *, {commit} AS written FROM ({rows})")
        touch(cursor, [hour, hour + HOUR - timedelta(minutes=1)], commit)


_NOISE: Final = "(random() + random() + random() - 1.5) * 2"
"""About ± 1, mostly near 0."""
_MACHINES_MINUTES: Final = (
    "(SELECT range AS minute, TIMESTAMP '{start}' + to_minutes(range) AS moment FROM range({minutes})),"
    " (SELECT range AS number FROM range({machines}))"
)
_AT: Final = "moment AS time, 'sit_north' AS site, 'mnr-' || lpad(number::VARCHAR, 16, '0') AS machine"
_IS_OFF: Final = "number % 100 = 7 AND hour(moment) = number // 100 % 24"
_INLET: Final = "22 + number % 7 + (3 * sin(hour(moment) / 24 * 6.28))::INTEGER"
_READINGS: Final = f"""SELECT {_AT},
    CASE WHEN {_IS_OFF} THEN 'unreachable' ELSE 'hashing' END AS state,
    CASE WHEN NOT ({_IS_OFF}) THEN COLUMNS(* EXCLUDE (minute, number, moment)) END,
    true AS is_meant_to_mine, 'MicroBT' AS make, 'M50S++' AS model, '20230101.12.Rel' AS firmware,
    'pyasic-rs 0.8.6' AS driver, NULL::VARCHAR AS power_mode, NOT ({_IS_OFF}) AS has_boards
    FROM (SELECT minute, number, moment,
        150000 + number % 50 * 20 + 10 * (120 * {_NOISE})::INTEGER AS hashrate_ths, 150000 AS expected_ths,
        33000 + number % 30 * 10 + 10 * (12 * {_NOISE})::INTEGER AS power_w,
        2200 + (20 * {_NOISE})::INTEGER AS efficiency_j_per_th,
        10 * (epoch(moment)::BIGINT % 1000000 + number) AS uptime_s,
        100 * ({_INLET}) AS inlet_temp_c, 100 * ({_INLET} + 16 + (random() * 2)::INTEGER) AS outlet_temp_c,
        100 * ({_INLET} + 53 + (random() * 2)::INTEGER) AS chip_temp_c,
        100 * ({_INLET} + 37 + (random() * 2)::INTEGER) AS board_temp_c, 5820 AS fan_min_rpm,
        5850 + 30 * (random() * 2)::INTEGER AS fan_max_rpm, 3 AS boards_hashing, 351 AS chips_working,
        351 AS chips_expected,
        (epoch(moment)::BIGINT % 1000000 * (16 + number % 3) // 60) AS shares_accepted,
        epoch(moment)::BIGINT % 1000000 // 9000 AS shares_rejected, 1 AS shares_stale,
        100 * (random() * 10)::INTEGER AS last_share_age_s, 80 + (random() * 120)::INTEGER AS read_ms, 0 AS fault_count,
        true AS pool_expected, [5820, 5850 + 30 * (random() * 2)::INTEGER] AS fans_rpm, []::VARCHAR[] AS fault_codes,
        '[{{{{"host":"pool.example.com","account":"act-0000000000000000","alive":true,"active":true}}}}]' AS pools
        FROM {_MACHINES_MINUTES})"""
_BOARDS: Final = f"""SELECT {_AT}, index,
    50000 + number % 50 * 7 + 10 * (50 * {_NOISE})::INTEGER AS hashrate_ths, 50000 AS expected_ths,
    100 * ({_INLET} + 36 + (random() * 2)::INTEGER) AS board_temp_c,
    100 * ({_INLET} + 52 + (random() * 2)::INTEGER) AS chip_temp_c,
    117 AS chips_working, 117 AS chips_expected, 60100 AS frequency_mhz,
    12300 + 10 * (random() * 2)::INTEGER AS voltage_v
    FROM {_MACHINES_MINUTES}, (SELECT range AS index FROM range(3)) WHERE NOT ({_IS_OFF})"""
_ROWS: Final[dict[Kind, str]] = {"readings": _READINGS, "boards": _BOARDS}
"""SQL of the rows of a kind, with `start`, `minutes` and `machines` to fill in."""
