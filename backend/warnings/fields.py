"""What a rule can look at: the fields of a reading, and what follows from them.

Every field is a number (true is 1, false is 0) or `None` for missing. A machine that did not answer says nothing:
only `unreachable` is known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agent.wire import Reading, State

Field = Callable[[Reading], float | None]

SITE_FIELDS: Final = frozenset({"silent_s"})
"""What the engine itself knows of a site. `silent_s`: seconds since a batch came from its agent."""

_AS_THEY_ARE: Final = (
    "read_ms",
    "is_meant_to_mine",
    "hashrate_ths",
    "expected_ths",
    "power_w",
    "efficiency_j_per_th",
    "uptime_s",
    "inlet_temp_c",
    "outlet_temp_c",
    "chip_temp_c",  # of the hottest chip
    "board_temp_c",  # of the hottest board sensor
    "last_share_age_s",
    "pool_expected",
)


def _plain(name: str) -> Field:
    def field(reading: Reading) -> float | None:
        value = getattr(reading, name)
        return None if value is None else float(value)

    return field


def unreachable(reading: Reading) -> float | None:
    """1 for a machine that did not answer, 0 for one that did."""
    return float(reading.state is State.UNREACHABLE)


def mines(reading: Reading) -> float | None:
    """1 for a machine that makes hashes or is meant to: both need cooling. Missing when it says neither."""
    if reading.hashrate_ths:
        return 1.0
    meant = reading.is_meant_to_mine
    if meant is None:
        return None if reading.hashrate_ths is None else 0.0
    return float(meant)


def hashrate_percent(reading: Reading) -> float | None:
    """Of what is expected."""
    if reading.hashrate_ths is None or not reading.expected_ths:
        return None
    return 100 * reading.hashrate_ths / reading.expected_ths


def fan_slowest_rpm(reading: Reading) -> float | None:
    """Of the slowest fan; missing for a machine without fans."""
    return float(min(reading.fans_rpm)) if reading.fans_rpm else None


def fan_fastest_rpm(reading: Reading) -> float | None:
    """Of the fastest fan."""
    return float(max(reading.fans_rpm)) if reading.fans_rpm else None


def chips_working_percent(reading: Reading) -> float | None:
    """Of the board that misses most of its chips."""
    parts = [
        100 * board.chips_working / board.chips_expected
        for board in reading.boards or ()
        if board.chips_working is not None and board.chips_expected
    ]
    return min(parts, default=None)


def pools_alive(reading: Reading) -> float | None:
    """How many configured pools are alive; missing unless the machine says it of all of them."""
    alive = [pool.alive for pool in reading.pools or ()]
    if not alive or None in alive:
        return None
    return float(sum(map(bool, alive)))


def _answered(field: Field) -> Field:
    def of_an_answer(reading: Reading) -> float | None:
        return None if reading.state is State.UNREACHABLE else field(reading)

    return of_an_answer


FIELDS: Final[Mapping[str, Field]] = {
    "unreachable": unreachable,
    **{name: _answered(_plain(name)) for name in _AS_THEY_ARE},
    **{
        field.__name__: _answered(field)
        for field in (mines, hashrate_percent, fan_slowest_rpm, fan_fastest_rpm, chips_working_percent, pools_alive)
    },
}
"""Name → what it reads."""
