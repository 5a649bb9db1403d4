"""How long every engine keeps data, what a sweep takes, and what a hold keeps."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from backend.store.protocol import DEFAULT_WINDOWS, Hold, Part, Store
from tests.backend.readings import NOW, SITE, at, batch, machine, reading
from tests.contract.engines import (
    DAY,
    HOUR,
    MINUTE,
    A,
    B,
    Engine,
    Settle,
    Time,
    series_of,
    taken,
    whole,
)


async def test_no_later_read_sees_what_is_past_a_window_that_was_made_shorter(store: Store, settle: Settle) -> None:
    await store.write(A, batch([reading(1, at(minute), hashrate_ths=1.0) for minute in (-1440, -61, -59)]), now=NOW)
    await store.write(A, batch([reading(2, at(-90), hashrate_ths=1.0)]), now=NOW)
    await settle()
    await store.set_window(A, "telemetry_raw", HOUR)
    assert (await store.windows(A))["telemetry_raw"] == HOUR
    found = await series_of(store, metric="hashrate_ths", **whole(), step=MINUTE)
    assert found == {machine(1): {at(-59): 1.0}}
    assert [one.reading.machine for one in await store.latest(A)] == [machine(1)]
    await store.set_window(A, "telemetry_rollup", HOUR)
    hourly = await series_of(store, metric="hashrate_ths", **whole(), step=HOUR, aggregate="count", across="sum")
    assert sum(hourly.get(None, {}).values()) <= 1
    exported = [part async for part in store.export(A)]
    assert [part.name for part in exported] == ["readings-2026-01-01.parquet"]


async def test_rollups_outlive_the_readings_that_they_are_made_of(store: Store, time: Time) -> None:
    await store.write(A, batch([reading(1, at(minute), hashrate_ths=2.0) for minute in range(60)]), now=NOW)
    await store.tend(now=NOW + 2 * DAY)
    time.now = NOW + 2 * DAY
    await store.set_window(A, "telemetry_raw", DAY)
    await store.sweep(A, now=time.now)
    assert await series_of(store, metric="hashrate_ths", **whole(), step=MINUTE) == {}
    assert await series_of(store, metric="hashrate_ths", **whole(), step=HOUR) == {machine(1): {NOW: 2.0}}
    assert (await store.oldest(A)) == {"telemetry_raw": None, "telemetry_rollup": NOW}


async def test_a_sweep_removes_what_is_past_and_says_so_once(store: Store, time: Time, settle: Settle) -> None:
    await store.write(A, batch([reading(1, at(1440 * day), hashrate_ths=1.0) for day in (-2, -1, 0)]), now=NOW)
    await settle()
    time.now = NOW + timedelta(hours=1)
    await store.set_window(A, "telemetry_raw", timedelta(hours=13))
    removed = await store.sweep(A, now=time.now)
    [raw] = [one for one in removed if one.data_class == "telemetry_raw"]
    assert (raw.rows, raw.start, raw.end) == (2, at(-2 * 1440), at(-1440))
    assert (await store.oldest(A))["telemetry_raw"] == NOW
    assert not [one for one in await store.sweep(A, now=time.now) if one.rows]
    assert await series_of(store, metric="hashrate_ths", **whole(), step=MINUTE) == {machine(1): {NOW: 1.0}}


async def test_what_is_held_stays_on_disk_and_goes_with_the_hold(store: Store, settle: Settle) -> None:
    await store.write(A, batch([reading(1, at(1440 * day), hashrate_ths=1.0) for day in (-3, -2, 0)]), now=NOW)
    await settle()
    await store.set_window(A, "telemetry_raw", HOUR)
    held = Hold(start=at(-2 * 1440 - 5), end=at(-2 * 1440 + 5))
    [first] = [
        one for one in await store.sweep(A, now=NOW, holds={"telemetry_raw": held}) if one.data_class == "telemetry_raw"
    ]
    assert (first.rows, first.start) == (1, at(-3 * 1440))
    assert (await store.oldest(A))["telemetry_raw"] == at(-2 * 1440)
    assert not [one for one in await store.sweep(A, now=NOW, holds={"telemetry_raw": Hold()}) if one.rows], (
        "a hold without bounds"
    )
    found = await series_of(store, metric="hashrate_ths", **whole(), step=MINUTE)
    assert found == {machine(1): {NOW: 1.0}}, "held is not readable"
    [second] = [one for one in await store.sweep(A, now=NOW) if one.data_class == "telemetry_raw"]
    assert second.rows == 1


async def test_a_hold_keeps_its_own_class_and_no_other(store: Store) -> None:
    await store.write(A, batch([reading(1, at(-1440 + minute), hashrate_ths=1.0) for minute in range(60)]), now=NOW)
    await store.tend(now=NOW + 2 * DAY)
    await store.set_window(A, "telemetry_raw", HOUR)
    await store.set_window(A, "telemetry_rollup", HOUR)
    removed = await store.sweep(A, now=NOW + 2 * DAY, holds={"telemetry_raw": Hold()})
    assert {one.data_class for one in removed} == {"telemetry_rollup"}
    assert await store.oldest(A) == {"telemetry_raw": at(-1440), "telemetry_rollup": None}


async def test_readings_that_are_past_the_window_when_they_come_are_not_kept(store: Store) -> None:
    await store.set_window(A, "telemetry_raw", HOUR)
    assert await store.write(A, batch([reading(1, at(-61), hashrate_ths=1.0), reading(2, at(-59))]), now=NOW)
    assert (await store.oldest(A))["telemetry_raw"] == at(-59)
    assert await store.sweep(A, now=NOW) == []


async def test_windows_are_each_accounts_own_and_outlast_a_restart(
    store: Store, engine: Engine, tmp_path: Path, time: Time
) -> None:
    assert await store.windows(A) == DEFAULT_WINDOWS
    await store.set_window(A, "telemetry_rollup", 3 * DAY)
    with pytest.raises(ValueError, match="window"):
        await store.set_window(A, "telemetry_raw", -DAY)
    await store.close()
    again = engine(tmp_path, time)
    assert await again.windows(A) == {"telemetry_raw": timedelta(days=90), "telemetry_rollup": 3 * DAY}
    assert await again.windows(B) == DEFAULT_WINDOWS
    await again.close()


async def test_an_account_that_never_stored_anything_has_nothing(store: Store) -> None:
    assert await store.oldest(A) == {"telemetry_raw": None, "telemetry_rollup": None}
    assert await store.usage(A) == {"telemetry_raw": 0, "telemetry_rollup": 0}
    assert await store.sweep(A, now=NOW) == []
    assert await store.erase(A, Part(site=SITE)) == []
    assert await taken(store) == []
    await store.tend(now=NOW)
