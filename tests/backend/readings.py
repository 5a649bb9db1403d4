"""Readings and batches to store, at fixed times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from agent.wire import CONTRACT, Batch, Board, MachineId, Pool, Reading, State
from backend.ids import SiteId

NOW: Final = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SITE: Final = SiteId("sit_north")


def machine(number: int) -> MachineId:
    """`mnr-000…number`."""
    return MachineId(f"mnr-{number:016d}")


def at(minutes: float) -> datetime:
    """So many minutes after `NOW`."""
    return NOW + timedelta(minutes=minutes)


def reading(number: int = 1, time: datetime = NOW, state: State = State.HASHING, **fields: Any) -> Reading:
    """What a machine said; no more than the fields given."""
    return Reading(machine=machine(number), time=time, state=state, **fields)


def full_reading(number: int = 1, time: datetime = NOW) -> Reading:
    """A reading with every field that the contract has."""
    made = reading(
        number,
        time,
        make="MicroBT",
        model="M50S++",
        firmware="20230101.12.Rel",
        driver="pyasic-rs 0.8.6",
        read_ms=12.5,
        is_meant_to_mine=True,
        hashrate_ths=98.4,
        expected_ths=110.1,
        power_w=3214.5,
        efficiency_j_per_th=32.67,
        uptime_s=86_400.5,
        inlet_temp_c=24.3,
        outlet_temp_c=-1.5,
        fans_rpm=(5820, 0, 6100),
        boards=tuple(
            Board(
                index=index,
                hashrate_ths=32.8 if index else 0.0,
                expected_ths=36.7,
                board_temp_c=61.2 + index,
                chip_temp_c=78.9 + index,
                chips_working=110 + index,
                chips_expected=117,
                frequency_mhz=601.25,
                voltage_v=12.31,
            )
            for index in range(3)
        ),
        shares_accepted=2**53,
        shares_rejected=7,
        shares_stale=0,
        last_share_age_s=3.25,
        pools=(
            Pool(host="pool.example.com", account="act-" + "0" * 16, worker="wrk-" + "1" * 16, alive=True, active=True),
            Pool(host="pol-" + "2" * 16, alive=False),
        ),
        pool_expected=False,
        fault_codes=("whatsminer:110", "whatsminer:2000"),
        power_mode="Normal",
    )
    missing = [name for name in Reading.model_fields if getattr(made, name) is None]
    assert not missing, f"this is to have every field, also {missing}"
    return made


def batch(readings: Iterable[Reading] = (), *, site: str = SITE, id: UUID | None = None, **fields: Any) -> Batch:
    """A batch with an id of its own."""
    values: dict[str, Any] = {"contract": CONTRACT, "agent": "0.1.0", "sent_at": NOW} | fields
    return Batch(id=id or uuid4(), site=site, readings=tuple(readings), **values)
