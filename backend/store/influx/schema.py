"""What is stored of a reading: measurements, fields, and how many decimals of each number.

Numbers are integers, scaled by a power of ten. On the poll's grid these take a fifth of the space that floats
at odd times take (27 against 145 B a poll), and they add up without rounding.

| measurement | one point is | tags |
|---|---|---|
| `machine` | one machine in one poll: each metric, and what else is a number | account, machine, site |
| `board`   | one hash board in one poll | account, board, machine, site |
| `told`    | what a site told in one poll of itself, or of its machines of one model | account, group, site |
| `facts`   | what is no number, once for each machine, day and content | account, digest, machine, site |
| `rollup`  | one machine in 5 minutes or an hour | account, machine, site |
| `total`   | all machines of a site in 5 minutes or an hour | account, site |
| `batch`   | one batch that is stored | account, site, slot |
| `touched` | the hours that one batch or one erasure touched | account, site |
| `window`  | one decision how long a class of data is kept | account, data_class |
| `rolled`  | how far rollups are made | account |
| `known`   | an account that was written to | account (the engine's own), member |

A point that is written again replaces the old one field by field, and what it lacks stays. So a point says in
`has` which fields are its own.
"""

from __future__ import annotations

from typing import Final, Literal

from agent.wire import State
from backend.store import metrics
from backend.store.metrics import METRICS

Measurement = Literal[
    "machine", "board", "told", "facts", "rollup", "total", "batch", "touched", "window", "rolled", "known"
]

_OF_READING: Final = (
    "hashrate_ths",
    "expected_ths",
    "power_w",
    "efficiency_j_per_th",
    "uptime_s",
    "inlet_temp_c",
    "outlet_temp_c",
    "shares_accepted",
    "shares_rejected",
    "shares_stale",
    "last_share_age_s",
    "read_ms",
    "is_meant_to_mine",
    "pool_expected",
)
_OF_BOARD: Final = (
    "hashrate_ths",
    "expected_ths",
    "board_temp_c",
    "chip_temp_c",
    "chips_working",
    "chips_expected",
    "frequency_mhz",
    "voltage_v",
)
# Their places are bits of `has` in what is stored: a new one comes last, none is ever moved.

MACHINE_DECIMALS: Final = {name: METRICS[name].decimals for name in _OF_READING}
"""Fields that a reading has under the same name, and their decimals."""
DERIVED_DECIMALS: Final = {name: metric.decimals for name, metric in METRICS.items() if name not in _OF_READING}
"""The other metrics of the catalogue, worked out when a reading is written."""
BOARD_DECIMALS: Final = {name: metrics.BOARD_DECIMALS[name] for name in _OF_BOARD}

WHOLE: Final = frozenset(
    {name for name, metric in METRICS.items() if metric.type != "float"}
    | {name for name, decimals in BOARD_DECIMALS.items() if decimals == 0}
)
"""Fields that are whole numbers on the wire."""

METRIC_DECIMALS: Final[dict[str, int]] = MACHINE_DECIMALS | DERIVED_DECIMALS
"""Each metric of the catalogue is a field of its name."""

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

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
