"""What is stored of a reading: measurements, fields, and how many decimals of each number.

Numbers are integers, scaled by a power of ten. On the poll's grid these take a fifth of the space that floats
at odd times take (27 against 145 B a poll), and they add up without rounding.

| measurement | one point is | tags |
|---|---|---|
| `machine` | one machine in one poll: each metric, and what else is a number | account, machine, site |
| `board`   | one hash board in one poll | account, board, machine, site |
| `facts`   | what is no number, once for each machine, day and content | account, digest, machine, site |
| `rollup`  | one machine in 5 minutes or an hour | account, machine, site |
| `batch`   | one batch that is stored | account, site, slot |
| `window`  | one decision how long a class of data is kept | account, data_class |
| `rolled`  | how far rollups are made | account |

A point that is written again replaces the old one field by field, and what it lacks stays. So a point says in
`has` which fields are its own.
"""

from __future__ import annotations

from typing import Final, Literal

from agent.wire import State

Measurement = Literal["machine", "board", "facts", "rollup", "batch", "touched", "window", "rolled"]

MACHINE_DECIMALS: Final[dict[str, int]] = {
    "hashrate_ths": 3,
    "expected_ths": 3,
    "power_w": 1,
    "efficiency_j_per_th": 2,
    "uptime_s": 1,
    "inlet_temp_c": 2,
    "outlet_temp_c": 2,
    "shares_accepted": 0,
    "shares_rejected": 0,
    "shares_stale": 0,
    "last_share_age_s": 2,
    "read_ms": 1,
    "is_meant_to_mine": 0,
    "pool_expected": 0,
}
"""Fields that a reading has under the same name, and their decimals."""

DERIVED_DECIMALS: Final[dict[str, int]] = {
    "chip_temp_c": 2,
    "board_temp_c": 2,
    "fan_min_rpm": 0,
    "fan_max_rpm": 0,
    "boards_hashing": 0,
    "chips_working": 0,
    "chips_expected": 0,
    "fault_count": 0,
    "is_reachable": 0,
    "is_hashing": 0,
    "is_idle": 0,
    "is_paused": 0,
    "is_unreachable": 0,
    "is_fault": 0,
}
"""The other metrics of the catalogue, worked out when a reading is written."""

BOARD_DECIMALS: Final[dict[str, int]] = {
    "hashrate_ths": 3,
    "expected_ths": 3,
    "board_temp_c": 2,
    "chip_temp_c": 2,
    "chips_working": 0,
    "chips_expected": 0,
    "frequency_mhz": 2,
    "voltage_v": 3,
}

WHOLE: Final = frozenset(
    (
        "shares_accepted",
        "shares_rejected",
        "shares_stale",
        "is_meant_to_mine",
        "pool_expected",
        "chips_working",
        "chips_expected",
    )
)
"""Fields that are whole numbers on the wire."""

METRIC_DECIMALS: Final[dict[str, int]] = MACHINE_DECIMALS | DERIVED_DECIMALS
"""Each metric of the catalogue is a field of its name."""

STATES: Final = tuple(State)
MOST_FANS: Final = 16

FANS_BIT: Final = 1 << len(MACHINE_DECIMALS)
BOARDS_BIT: Final = FANS_BIT << 1
POOLS_BIT: Final = BOARDS_BIT << 1
"""Bits of `has` after those of `MACHINE_DECIMALS`: whether the reading has the list, be it an empty one."""

FANS: Final = tuple(f"fan{place}_rpm" for place in range(MOST_FANS))
MACHINE_FIELDS: Final = (
    "has",
    *(f"is_{state.value}" for state in STATES),
    *MACHINE_DECIMALS,
    "fans",  # how many
    *FANS,
    "boards",  # a bit for each index
    "pools",  # base 9: whether each is alive and active
    "facts",  # the digest of those that hold
)
"""What is read back to get the whole reading."""
BOARD_FIELDS: Final = ("has", *BOARD_DECIMALS)
