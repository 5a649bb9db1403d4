"""An account's data as plain files, out of every engine and into it again."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from agent.wire import State
from backend.store.protocol import SeriesQuery, Store
from tests.backend.readings import NOW, at, batch, full_reading, machine, reading
from tests.contract.engines import (
    MINUTE,
    SOUTH,
    A,
    B,
    Settle,
    exported,
    taken,
    whole,
)


async def test_an_export_that_is_imported_elsewhere_is_the_same_account(store: Store, settle: Settle) -> None:
    readings = [full_reading(1, at(-1440)), full_reading(1), reading(2, boards=(), fans_rpm=(), pools=())]
    await store.write(A, batch(readings), now=NOW)
    await store.write(A, batch([reading(3, NOW, State.UNREACHABLE)], site=SOUTH), now=NOW)
    await settle()
    files = await taken(store)
    assert [name for name, _ in files] == ["readings-2025-12-31.parquet", "readings-2026-01-01.parquet"]
    assert await store.import_(B, files) == 4
    assert await store.import_(B, files) == 0, "a file twice is once"
    assert await store.latest(B) == await store.latest(A)
    everything = SeriesQuery(metric="chips_working", **whole(), step=MINUTE)
    assert await store.series(B, everything) == await store.series(A, everything)


async def test_an_export_can_be_read_as_csv_and_narrowed_by_time(store: Store, settle: Settle) -> None:
    await store.write(A, batch([full_reading(1, at(minute)) for minute in (-90, 0, 61)]), now=NOW)
    await settle()
    [(name, content)] = await taken(store, "csv", start=at(-1), end=at(60))
    assert name == "readings-2026-01-01.csv"
    [row] = csv.DictReader(io.StringIO(content.decode()))
    assert (row["machine"], row["hashrate_ths"], row["power_mode"]) == (machine(1), "98.4", "Normal")
    assert json.loads(row["boards"])[2]["chip_temp_c"] == 80.9
    assert len(await exported(store, start=at(-90), end=at(61))) == 2


async def test_what_is_no_export_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match=r"x\.parquet"):
        await store.import_(A, [("x.parquet", b"no such thing")])
    other = io.BytesIO()
    parquet.write_table(pa.table({"site": ["a"], "machine": ["b"]}), other)
    with pytest.raises(ValueError, match=r"y\.parquet"):
        await store.import_(A, [("y.parquet", other.getvalue())])
