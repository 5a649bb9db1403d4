"""What every engine makes of totals that a site tells in place of readings."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from agent.wire import Aggregate, Batch, Spread
from backend.ids import SiteId
from backend.store.protocol import Everything, Hold, Part, SeriesQuery, Store, Told, TooManyPoints
from tests.backend.readings import NOW, SITE, at, batch, machine, reading
from tests.contract.engines import DAY, HOUR, MINUTE, SOUTH, A, B, Settle, Time, series_of, taken, whole


def total(minute: float = 0, rate_ths: float = 500.0, **fields: Any) -> Aggregate:
    """Seven machines of a site, six of which make hashes."""
    counts = {"machines": 7, "hashing": 6, "idle": 0, "paused": 0, "unreachable": 1, "fault": 0}
    rates = Spread(machines=6, total=rate_ths, p10=80.125, p50=83.0, p90=90.5)
    temps = Spread(machines=6, p10=-1.5, p50=61.25, p90=70.001)
    return Aggregate(**({"time": at(minute), "hashrate_ths": rates, "chip_temp_c": temps} | counts | fields))


def telling(*totals: Aggregate, site: str = SITE, **fields: Any) -> Batch:
    return batch(site=site, aggregates=totals, **fields)


async def told(store: Store, **asked: Any) -> list[Told]:
    return list(await store.told(A, **({**whole(), **asked})))


async def sums(store: Store, metric: str = "hashrate_ths", site: SiteId | None = None) -> dict[Any, float]:
    [found] = await store.fleet(A, metrics=[metric], start=NOW, end=NOW + HOUR, step=HOUR, site=site)
    return dict(found.points)


async def test_what_is_told_is_read_back_whole_in_order_and_narrowed(store: Store, settle: Settle) -> None:
    group = total(make="MicroBT", model="M50S++", power_w=Spread(machines=5, total=16_000.5, p10=1, p50=2, p90=3))
    assert await store.write(A, telling(total(1), group, total()), now=NOW)
    await store.write(A, telling(total(), site=SOUTH), now=NOW)
    await settle()
    assert await told(store) == [
        Told(SITE, total()),
        Told(SITE, group),
        Told(SOUTH, total()),
        Told(SITE, total(1)),
    ]
    assert await told(store, site=SOUTH) == [Told(SOUTH, total())]
    assert await told(store, start=at(1), end=at(2)) == [Told(SITE, total(1))]
    assert list(await store.told(B, **whole())) == []
    with pytest.raises(TooManyPoints):
        await told(store, most=3)


async def test_a_batch_of_totals_is_stored_once_by_its_id_and_makes_no_machine(store: Store) -> None:
    sent = telling(total())
    assert await store.write(A, sent, now=NOW)
    assert not await store.write(A, sent, now=NOW)
    assert len(await told(store)) == 1
    assert await store.latest(A) == []
    assert await store.series(A, SeriesQuery(metric="hashrate_ths", **whole(), step=HOUR)) == []


async def test_totals_over_time_count_what_sites_told_of_themselves(store: Store, settle: Settle) -> None:
    await store.write(A, telling(total(0, 400.0), total(1, 600.0), total(make="MicroBT")), now=NOW)
    await store.write(A, batch([reading(1, hashrate_ths=1.0), reading(2, hashrate_ths=2.0)], site=SOUTH), now=NOW)
    await settle()
    assert await sums(store) == {NOW: 503.0}
    assert await sums(store, site=SITE) == {NOW: 500.0}
    assert await sums(store, site=SOUTH) == {NOW: 3.0}
    assert await sums(store, "is_hashing") == {NOW: 8.0}
    assert await sums(store, "is_reachable", site=SITE) == {NOW: 6.0}
    assert await sums(store, "chip_temp_c", site=SITE) == {}, "temperatures do not add up"
    asked: dict[str, Any] = {"metric": "hashrate_ths", **whole(), "step": MINUTE, "across": "sum", "site": SITE}
    assert await series_of(store, **asked) == {None: {NOW: 400.0, at(1): 600.0}}
    assert await series_of(store, **asked, machines=(machine(1),)) == {}


async def test_a_site_that_begins_to_send_readings_is_not_counted_twice(store: Store, settle: Settle) -> None:
    await store.write(A, telling(total(0, 500.0), total(1, 500.0)), now=NOW)
    await store.write(A, batch([reading(n, at(1), hashrate_ths=100.0) for n in range(5)]), now=NOW)
    await settle()
    asked: dict[str, Any] = {"metric": "hashrate_ths", **whole(), "step": MINUTE, "across": "sum"}
    for narrowed in ({}, {"site": SITE}):
        assert await series_of(store, **asked, **narrowed) == {None: {NOW: 500.0, at(1): 500.0}}


def power(minute: float, watts: float | None) -> Aggregate:
    """What a site says that takes so much; None: it does not measure it."""
    spread = None if watts is None else Spread(machines=6, total=watts, p10=1.0, p50=2.0, p90=3.0)
    return total(minute, power_w=spread)


async def kilowatt_hours(store: Store, **asked: Any) -> dict[Any, float]:
    """Of all machines and sites, rounded to what an hour of 0.1 W comes to."""
    span: dict[str, Any] = {"start": NOW, "end": NOW + 3 * HOUR, "step": HOUR}
    found = await store.energy(A, **(span | asked), by="all")
    return {at: round(value, 4) for energy in found for at, value in energy.points}


async def test_energy_counts_what_sites_told_of_themselves(store: Store, settle: Settle) -> None:
    told_powers = [power(minute, 60_000.0) for minute in range(6)] + [power(6, None), power(7, 60_000.0)]
    group = total(make="MicroBT", model="M50S++", power_w=Spread(machines=5, total=16_000.0, p10=1, p50=2, p90=3))
    await store.write(A, telling(*told_powers, group, power(100, 60_000.0), power(101, 60_000.0)), now=NOW)
    await store.write(A, batch([reading(1, at(n), power_w=6_000.0) for n in range(3)], site=SOUTH), now=NOW)
    await settle()
    # A total says what the minute before it took; the first has none before it, the one at 100 minutes none in reach.
    assert await kilowatt_hours(store) == {NOW: 6.0 + 0.2, NOW + HOUR: 1.0}
    assert await kilowatt_hours(store, step=2 * HOUR) == {NOW: 7.2}
    assert await kilowatt_hours(store, start=at(1), end=at(3), step=MINUTE) == {at(1): 1.1, at(2): 1.1}
    assert await kilowatt_hours(store, site=SITE) == {NOW: 6.0, NOW + HOUR: 1.0}
    assert await kilowatt_hours(store, site=SOUTH) == {NOW: 0.2}
    of_sites = await store.energy(A, start=NOW, end=NOW + 2 * HOUR, step=2 * HOUR, by="site")
    assert {one.site: round(one.points[0][1], 4) for one in of_sites} == {SITE: 7.0, SOUTH: 0.2}
    [of_machine] = await store.energy(A, start=NOW, end=NOW + HOUR, step=HOUR)
    assert of_machine.machine == machine(1), "a total is of no machine"
    assert await store.energy(B, start=NOW, end=NOW + HOUR, step=HOUR, by="all") == []


async def test_energy_of_a_site_that_begins_to_send_readings_is_not_counted_twice(store: Store, settle: Settle) -> None:
    await store.write(A, telling(*(power(minute, 60_000.0) for minute in range(-2, 3))), now=NOW)
    await store.write(A, batch([reading(n, at(minute), power_w=6_000.0) for n in (1, 2) for minute in (1, 2)]), now=NOW)
    await settle()
    assert await kilowatt_hours(store, start=NOW - HOUR) == {NOW - HOUR: 1.0, NOW: 0.2}
    asked: dict[str, Any] = {"start": at(1), "end": at(3), "step": MINUTE}
    assert await kilowatt_hours(store, **asked) == {at(1): 1.0, at(2): 0.2}


async def test_totals_go_with_the_window_of_readings_and_stay_with_its_hold(
    store: Store, settle: Settle, time: Time
) -> None:
    await store.write(A, telling(total(-3 * 1440), total(-1440), total()), now=NOW)
    await settle()
    time.now = NOW + HOUR
    await store.set_window(A, "telemetry_raw", timedelta(hours=13))
    assert await told(store, start=at(-4 * 1440)) == [Told(SITE, total())]
    held: Mapping[Any, Hold] = {"telemetry_raw": Hold(end=at(-2 * 1440))}
    assert [one.rows for one in await store.sweep(A, now=time.now, holds=held)] == [1]
    assert (await store.oldest(A))["telemetry_raw"] == at(-3 * 1440)
    assert [one.rows for one in await store.sweep(A, now=time.now) if one.rows] == [1]
    assert (await store.oldest(A))["telemetry_raw"] == NOW
    await store.write(A, telling(total(-1440)), now=time.now)
    assert await told(store, start=at(-4 * 1440)) == [Told(SITE, total())]


async def test_totals_are_erased_by_site_and_time_and_not_by_machine(store: Store, settle: Settle) -> None:
    await store.write(A, telling(total(), total(61)), now=NOW)
    await store.write(A, telling(total(), site=SOUTH), now=NOW)
    await store.write(B, telling(total()), now=NOW)
    await settle()
    assert not [one for one in await store.erase(A, Part(machine=machine(1))) if one.rows]
    [raw] = await store.erase(A, Part(site=SOUTH))
    assert (raw.data_class, raw.rows) == ("telemetry_raw", 1)
    assert await told(store) == [Told(SITE, total()), Told(SITE, total(61))]
    await store.erase(A, Part(start=at(60)))
    assert await told(store) == [Told(SITE, total())]
    await store.erase(A, Everything())
    assert await told(store) == []
    assert len(await store.told(B, **whole())) == 1


async def test_totals_are_exported_in_files_of_their_own_and_imported_elsewhere(store: Store, settle: Settle) -> None:
    await store.write(A, telling(total(-1440), total(), total(make="MicroBT", model="M50S++")), now=NOW)
    await store.write(A, batch([reading(1)], site=SOUTH), now=NOW)
    await settle()
    files = await taken(store)
    names = ("readings-2026-01-01.parquet", "totals-2025-12-31.parquet", "totals-2026-01-01.parquet")
    assert [name for name, _ in files] == list(names)
    assert await store.import_(B, files) == 4
    assert await store.import_(B, files) == 0, "a file twice is once"
    assert list(await store.told(B, **whole())) == await told(store)
    [_, (_, content)] = await taken(store, "csv", start=at(-1), end=at(1))
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["model"], row["hashrate_ths_total"], row["machines"]) for row in rows] == [
        ("", "500", "7"),
        ("M50S++", "500", "7"),
    ]


async def test_totals_that_come_late_join_their_day(store: Store) -> None:
    for minute in range(-2 * 1440, -2 * 1440 + 6):
        await store.write(A, telling(total(minute)), now=NOW)
        await store.tend(now=NOW)
    assert [one.total for one in await told(store)] == [total(minute) for minute in range(-2 * 1440, -2 * 1440 + 6)]
    await store.tend(now=NOW + 3 * DAY)
    assert len(await told(store)) == 6
