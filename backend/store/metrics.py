"""The catalogue of numbers: those of a machine, which can be asked for as a series, and those of its boards.

In one place: tables, line protocol, API, documentation and the check of the dashboards follow from it. `Metric.of` is
the definition: what a metric is for one reading. Every engine stores what it needs to give the same number, and the
contract suite compares each engine with `of`, metric by metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from agent.wire import Board, Reading, State

Number = float | int
Type = Literal["float", "integer", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One number, as it may be and as it is kept."""

    name: str
    unit: str  # "" for a number without one
    meaning: str
    type: Type  # "flag" is 0 or 1: its mean is a share of time, its sum over machines a count of them
    low: float
    high: float
    decimals: int  # that engines keep; they store whole numbers, scaled by 10 to the power of this


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Quantity):
    """One number a machine has at a time, or does not have."""

    of: Callable[[Reading], Number | None]


def _field(name: str) -> Callable[[Reading], Number | None]:
    def value(reading: Reading) -> Number | None:
        number: Number | None = getattr(reading, name)
        return number

    return value


def _flag(name: str) -> Callable[[Reading], Number | None]:
    def value(reading: Reading) -> Number | None:
        flag: bool | None = getattr(reading, name)
        return None if flag is None else int(flag)

    return value


def _is(state: State) -> Callable[[Reading], Number | None]:
    return lambda reading: int(reading.state is state)


def _chips(count: Callable[[Board], int | None]) -> Callable[[Reading], Number | None]:
    """Sum over the boards that say; None when none does."""

    def value(reading: Reading) -> Number | None:
        counts = [chips for board in reading.boards or () if (chips := count(board)) is not None]
        return sum(counts) if counts else None

    return value


def _boards_hashing(reading: Reading) -> Number | None:
    rates = [board.hashrate_ths for board in reading.boards or () if board.hashrate_ths is not None]
    return sum(rate > 0 for rate in rates) if rates else None


def _measure(
    name: str,
    unit: str,
    high: float,
    meaning: str,
    *,
    decimals: int,
    low: float = 0,
) -> Metric:
    return Metric(
        name=name, unit=unit, meaning=meaning, type="float", low=low, high=high, decimals=decimals, of=_field(name)
    )


def _count(
    name: str, unit: str, high: float, meaning: str, of: Callable[[Reading], Number | None] | None = None
) -> Metric:
    return Metric(
        name=name, unit=unit, meaning=meaning, type="integer", low=0, high=high, decimals=0, of=of or _field(name)
    )


def _yes_no(name: str, meaning: str, of: Callable[[Reading], Number | None]) -> Metric:
    return Metric(name=name, unit="", meaning=meaning, type="flag", low=0, high=1, decimals=0, of=of)


_MOST: Final = float(2**53)  # of a counter, as on the wire

_CATALOGUE: Final = (
    _measure("hashrate_ths", "TH/s", 1e6, "what the machine makes", decimals=3),
    _measure("expected_ths", "TH/s", 1e6, "what it should make, nominally", decimals=3),
    _measure("power_w", "W", 1e6, "what it takes from the wall, as it says", decimals=1),
    _measure("efficiency_j_per_th", "J/TH", 1e6, "power over hashrate", decimals=2),
    _measure("uptime_s", "s", 4e9, "since it started", decimals=1),
    _measure("inlet_temp_c", "°C", 250, "air that comes in", decimals=2, low=-60),
    _measure("outlet_temp_c", "°C", 250, "air that goes out", decimals=2, low=-60),
    _measure("chip_temp_c", "°C", 250, "its hottest chip", decimals=2, low=-60),
    _measure("board_temp_c", "°C", 250, "its hottest board sensor", decimals=2, low=-60),
    _count("fan_min_rpm", "rpm", 1e5, "its slowest fan", lambda r: min(r.fans_rpm) if r.fans_rpm else None),
    _count("fan_max_rpm", "rpm", 1e5, "its fastest fan", lambda r: max(r.fans_rpm) if r.fans_rpm else None),
    _count("boards_hashing", "", 64, "hash boards that make hashes", _boards_hashing),
    _count("chips_working", "", 64 * _MOST, "working chips of all boards", _chips(lambda board: board.chips_working)),
    _count("chips_expected", "", 64 * _MOST, "chips there should be", _chips(lambda board: board.chips_expected)),
    _count("shares_accepted", "", _MOST, "shares the pool took, since the machine's start"),
    _count("shares_rejected", "", _MOST, "shares the pool refused, since the machine's start"),
    _count("shares_stale", "", _MOST, "shares that came too late, since the machine's start"),
    _measure("last_share_age_s", "s", 4e9, "since its last accepted share", decimals=2),
    _measure("read_ms", "ms", 1e6, "how long the agent's read took", decimals=1),
    _count(
        "fault_count", "", 64, "fault codes it names", lambda r: None if r.fault_codes is None else len(r.fault_codes)
    ),
    _yes_no("is_meant_to_mine", "it is meant to mine", _flag("is_meant_to_mine")),
    _yes_no("pool_expected", "it mines for a pool that the site declared", _flag("pool_expected")),
    _yes_no("is_reachable", "it answered", lambda r: int(r.state is not State.UNREACHABLE)),
    _yes_no("is_hashing", "it answered and makes hashes", _is(State.HASHING)),
    _yes_no("is_idle", "it answered, is meant to mine and makes no hashes", _is(State.IDLE)),
    _yes_no("is_paused", "it answered and is not meant to mine", _is(State.PAUSED)),
    _yes_no("is_unreachable", "it did not answer", _is(State.UNREACHABLE)),
    _yes_no("is_fault", "it makes no hashes and names a fault", _is(State.FAULT)),
)

METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _CATALOGUE}
"""By name, in the order that people read them."""


def _of_board(name: str, unit: str, high: float, meaning: str, *, decimals: int = 0, low: float = 0) -> Quantity:
    kind: Type = "float" if decimals else "integer"
    return Quantity(name=name, unit=unit, meaning=meaning, type=kind, low=low, high=high, decimals=decimals)


_OF_BOARDS: Final = (
    _of_board("hashrate_ths", "TH/s", 1e6, "what the board makes", decimals=3),
    _of_board("expected_ths", "TH/s", 1e6, "what it should make, nominally", decimals=3),
    _of_board("board_temp_c", "°C", 250, "its hottest sensor", decimals=2, low=-60),
    _of_board("chip_temp_c", "°C", 250, "its hottest chip", decimals=2, low=-60),
    _of_board("chips_working", "", _MOST, "chips that answer"),
    _of_board("chips_expected", "", _MOST, "chips it was made with"),
    _of_board("frequency_mhz", "MHz", 1e4, "the mean of its chips", decimals=2),
    _of_board("voltage_v", "V", 1e3, "what it is supplied with", decimals=3),
)

BOARD_METRICS: Final[Mapping[str, Quantity]] = {quantity.name: quantity for quantity in _OF_BOARDS}
"""What a hash board has, besides its index."""
BOARD_DECIMALS: Final[Mapping[str, int]] = {name: quantity.decimals for name, quantity in BOARD_METRICS.items()}
"""The decimals that engines keep of it."""
