"""Small farms to show: readings, alarms and lines at a fixed time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.wire import Board, MachineId, Reading, State
from backend.console.charts import Charts
from backend.console.overview import Alarm
from backend.ids import SiteId
from backend.store.protocol import Latest

NOW: Final = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SITE: Final = SiteId("sit_north")
NAMES: Final = {SITE: "North hall"}


def machine(number: int) -> MachineId:
    """`mnr-000…number`."""
    return MachineId(f"mnr-{number:016d}")


def latest(number: int, state: State = State.HASHING, *, age_s: float = 30, **fields: Any) -> Latest:
    """The newest reading of a machine, hashing at 100 of 110 TH/s unless told otherwise."""
    values: dict[str, Any] = {
        "make": "Antminer",
        "model": "S19 Pro",
        "hashrate_ths": 100.0,
        "expected_ths": 110.0,
        "power_w": 3000.0,
        "efficiency_j_per_th": 30.0,
        "uptime_s": 90_000.0,
        "fans_rpm": (5800, 5700),
        "boards": (Board(index=0, chip_temp_c=70.0), Board(index=1, chip_temp_c=74.0)),
        "shares_accepted": 990,
        "shares_rejected": 10,
    }
    if state is State.UNREACHABLE:
        values = {}
    reading = Reading(machine=machine(number), time=NOW - timedelta(seconds=age_s), state=state, **(values | fields))
    return Latest(SITE, reading)


def alarm(number: int | None, rule: str = "chip_hot", severity: str = "critical", **fields: Any) -> Alarm:
    """A firing warning of a machine, or of the site."""
    values: dict[str, Any] = {"title": rule.replace("_", " "), "since": NOW - timedelta(minutes=10)}
    return Alarm(
        id=f"wrn_{number or 0:016d}",
        rule=rule,
        severity=severity,
        site=SITE,
        machine=None if number is None else machine(number),
        **(values | fields),
    )


def lines(values: Iterable[float] = (100, 101, 99), machines: Iterable[int] = ()) -> Charts:
    """An hour's lines, one point a minute, the last of them now."""
    values = list(values)
    points = tuple((NOW - timedelta(minutes=len(values) - 1 - n), float(v)) for n, v in enumerate(values))
    return Charts(
        start=NOW - timedelta(hours=1),
        end=NOW,
        hashrate_ths=points,
        power_w=tuple((time, value * 30) for time, value in points),
        chip_temp_c=tuple((time, 74.0) for time, _ in points),
        machines={machine(number): points for number in machines},
    )
