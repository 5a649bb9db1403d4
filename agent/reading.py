"""What a driver hands over: a machine's facts and its live numbers, names still inside.

These types never leave the process. `agent.pseudonym.pseudonymize` is the one way from a `RawReading`
to a `wire.Reading`, and the spool takes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What seldom changes: read at discovery and refreshed daily. `None` is "the machine does not say"."""

    address: str
    driver: str  # name and version of what reads this machine, e.g. "pyasic-rs 0.8.6"
    make: str | None = None
    model: str | None = None
    firmware: str | None = None
    mac: str | None = None
    serial: str | None = None
    hostname: str | None = None
    shares_mac: bool = False  # another machine of this site claimed its MAC first: it is known by more than that
    expected_ths: float | None = None
    boards_expected: int | None = None
    chips_expected: int | None = None  # of the whole machine
    fans_expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBoard:
    """One hash board; units as in `wire.Board`."""

    index: int
    hashrate_ths: float | None = None
    expected_ths: float | None = None
    board_temp_c: float | None = None
    chip_temp_c: float | None = None
    chips_working: int | None = None
    chips_expected: int | None = None
    frequency_mhz: float | None = None
    voltage_v: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPool:
    """One pool as the machine configured it: URL and user in clear."""

    url: str | None = None
    user: str | None = None
    alive: bool | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What changes from poll to poll; units as in `wire.Reading`. `None` is missing, never 0."""

    is_meant_to_mine: bool | None = None
    hashrate_ths: float | None = None
    expected_ths: float | None = None
    power_w: float | None = None
    uptime_s: float | None = None
    inlet_temp_c: float | None = None
    outlet_temp_c: float | None = None
    fans_rpm: tuple[int, ...] | None = None
    boards: tuple[RawBoard, ...] | None = None
    shares_accepted: int | None = None
    shares_rejected: int | None = None
    shares_stale: int | None = None
    last_share_age_s: float | None = None
    pools: tuple[RawPool, ...] | None = None
    fault_codes: tuple[str, ...] | None = None  # "vendor:code"
    power_mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReading:
    """One poll of one machine. `live` is None when it did not answer in time."""

    time: datetime  # UTC, on the poll's grid
    facts: Facts
    live: Live | None
    read_ms: float | None = None
