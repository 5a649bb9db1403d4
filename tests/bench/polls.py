"""What the benchmarks of the store put in: one poll of a farm, noisy as farms are."""

from __future__ import annotations

import random
from datetime import datetime

from agent.wire import Board, Pool, Reading, State
from tests.backend.readings import machine


def polls(machines: int, at: datetime, *, first: int = 0) -> list[Reading]:
    """One poll of each machine, numbered from `first`: a reading and three boards."""
    chance = random.Random(at.timestamp() + first)
    return [_poll(number, at, chance) for number in range(first, first + machines)]


def _poll(number: int, at: datetime, chance: random.Random) -> Reading:
    rate, power = round(chance.gauss(150, 1.2), 2), round(chance.gauss(3300, 12))
    inlet = 25.0 + number % 7
    return Reading(
        time=at,
        machine=machine(number),
        make="MicroBT",
        model="M50S++",
        firmware="20230101.12.Rel",
        driver="pyasic-rs 0.8.6",
        read_ms=round(chance.uniform(8, 20), 1),
        state=State.HASHING,
        is_meant_to_mine=True,
        hashrate_ths=rate,
        expected_ths=150.0,
        power_w=power,
        efficiency_j_per_th=round(power / rate, 2),
        uptime_s=864_000.0 + at.timestamp() % 1e6,
        inlet_temp_c=inlet,
        outlet_temp_c=inlet + 16,
        fans_rpm=(5820, 5820 + 30 * chance.randint(0, 2)),
        boards=tuple(
            Board(
                index=index,
                hashrate_ths=round(chance.gauss(50, 0.5), 2),
                expected_ths=50.0,
                board_temp_c=round(inlet + 36 + chance.gauss(0, 1)),
                chip_temp_c=round(inlet + 52 + chance.gauss(0, 1)),
                chips_working=117,
                chips_expected=117,
                frequency_mhz=601.0,
                voltage_v=12.3,
            )
            for index in range(3)
        ),
        shares_accepted=123_456,
        shares_rejected=7,
        shares_stale=1,
        last_share_age_s=float(chance.randint(0, 10)),
        pools=(Pool(host="pool.example.com", account="act-" + "0" * 16, alive=True, active=True),),
        pool_expected=True,
        fault_codes=(),
    )
