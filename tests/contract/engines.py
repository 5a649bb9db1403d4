"""The engines, and what the suites of stores ask all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.store.embedded import EmbeddedStore
from backend.store.protocol import Format, SeriesQuery, Store
from tests.backend.readings import NOW
from tests.fakes import influx

A = AccountId("acc_a")
B = AccountId("acc_b")
SOUTH = SiteId("sit_south")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Clock = Callable[[], datetime]
Engine = Callable[[Path, Clock], Store]
Settle = Callable[[], Any]

ENGINES: dict[str, Engine] = {
    "embedded": lambda folder, clock: EmbeddedStore(folder, clock=clock),
    "influx": influx.store,
}


@dataclass
class Time:
    """What the store's clock says."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


async def series_of(store: Store, **asked: Any) -> dict[MachineId | None, dict[datetime, float]]:
    return {one.machine: dict(one.points) for one in await store.series(A, SeriesQuery(**asked))}


def whole(first: str = "2025-12-30T00:00", last: str = "2026-01-02T00:00") -> dict[str, Any]:
    """Times that hold whatever these tests store."""
    return {"start": datetime.fromisoformat(first + "+00:00"), "end": datetime.fromisoformat(last + "+00:00")}


async def taken(store: Store, format: Format = "parquet", **asked: Any) -> list[tuple[str, bytes]]:
    return [
        (part.name, b"".join([chunk async for chunk in part.chunks]))
        async for part in store.export(A, format=format, **asked)
    ]


async def exported(store: Store, **asked: Any) -> list[dict[str, Any]]:
    """The rows of an export."""
    files = await taken(store, **asked)
    return [row for _, content in files for row in parquet.read_table(pa.BufferReader(content)).to_pylist()]
