"""Readings as a driver hands them over, for tests: a healthy machine whose every name is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from agent.reading import Facts, Live, RawBoard, RawPool, RawReading
from agent.wire import Aggregate, Batch, Reading, State

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

FACTS = Facts(
    address="192.168.17.42",
    driver="pyasic-rs 0.8.6",
    make="Antminer",
    model="S19 Pro",
    firmware="20221226",
    mac="02:00:5E:1C:A7:3F",
    serial="JYZZDEABCJG0042",
    hostname="hall3-rack7-u12",
    expected_ths=110.0,
)
POOL = RawPool(url="stratum+tcp://pool.acme-mining.example:3333", user="acme.hall3x42", alive=True, active=True)
BOARD = RawBoard(index=0, hashrate_ths=36.6, chip_temp_c=71.5, board_temp_c=55.0, chips_working=114, chips_expected=114)
LIVE = Live(
    is_meant_to_mine=True,
    hashrate_ths=110.0,
    power_w=3300.0,
    uptime_s=50_000.0,
    fans_rpm=(6000, 5880),
    boards=(BOARD,),
    shares_accepted=100,
    pools=(POOL,),
    fault_codes=(),
)


def raw(*, live: Live | None = LIVE, facts: Facts = FACTS, **changes: Any) -> RawReading:
    """A reading at noon. `changes` go to the live numbers or to the facts, wherever the field is."""
    in_live = {name: value for name, value in changes.items() if live is not None and hasattr(live, name)}
    in_facts = {name: value for name, value in changes.items() if name not in in_live}
    return RawReading(
        time=NOON, facts=replace(facts, **in_facts), live=replace(live, **in_live) if live else None, read_ms=12.5
    )


def reading(number: int = 0, **fields: Any) -> Reading:
    """A wire reading of machine `number`."""
    return Reading(**{"time": NOON, "machine": f"mnr-{number:016}", "state": State.HASHING, **fields})


def batch(number: int = 0, readings: int = 1, site: str = "sit_0000000000000001") -> Batch:
    """A batch whose id is `number`."""
    return Batch(
        id=UUID(int=number),
        site=site,
        agent="0.1.0",
        sent_at=NOON,
        readings=tuple(reading(n) for n in range(readings)),
    )


def total(machines: int = 5) -> Aggregate:
    """Totals of a site whose machines all make hashes."""
    return Aggregate(time=NOON, machines=machines, hashing=machines, idle=0, paused=0, unreachable=0, fault=0)
