"""What is past, held, or erased: on the server itself, and not only in what we read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.store.errors import StoreUnavailable
from backend.store.influx import tiers
from backend.store.influx.client import Client
from backend.store.influx.engine import InfluxStore
from backend.store.influx.queries import LAST_US, Column, Select
from backend.store.protocol import DataClass, Everything, Hold, Part, SeriesQuery
from tests.backend.readings import NOW, SITE, at, batch, full_reading, machine, reading
from tests.backend.store.influx.conftest import Clock, Stores
from tests.fakes.influx_v2 import InfluxV2, Trouble

A = AccountId("acc_a")
B = AccountId("acc_b")
SOUTH = SiteId("sit_south")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
COUNTED = {"machine": "is_reachable", "board": "has", "rollup": "is_reachable_count", "total": "moved"}


async def stored(client: Client, measurement: Any, account: AccountId = A) -> dict[str, int]:
    """How many points of a measurement are in which buckets."""
    field = COUNTED.get(measurement, {"facts": "json", "batch": "id", "window": "window_s"}.get(measurement, ""))
    found = {}
    for bucket in tiers.rules("itsminer"):
        question = Select(
            account=account, measurement=measurement, columns=(Column(field, "count"),), start_us=0, end_us=LAST_US
        )
        (tables,) = await client.select(bucket, question)
        if tables:
            found[bucket.removeprefix("itsminer_")] = int(tables[0].rows[0][1])
    return found


async def days(store: InfluxStore, account: AccountId = A, *, count: int = 10) -> None:
    """A reading of one machine each noon, the newest at `NOW`."""
    noons = [NOW - day * DAY for day in reversed(range(count))]
    await store.write(account, batch([full_reading(1, noon) for noon in noons]), now=NOW)


async def times(store: InfluxStore, account: AccountId = A) -> Sequence[int]:
    """Ages in days of what can be read, newest first."""
    query = SeriesQuery(metric="power_w", start=NOW - 800 * DAY, end=NOW + 800 * DAY, step=HOUR, aggregate="last")
    found = await store.series(account, query)
    return [(NOW - time) // DAY for time, _ in reversed(found[0].points)] if found else []


async def test_a_shorter_window_clamps_reads_at_once_and_elsewhere_within_a_minute(
    stores: Stores, clock: Clock
) -> None:
    mine, other = stores(), stores()
    await days(mine)
    assert len(await times(other)) == 10
    await mine.set_window(A, "telemetry_raw", timedelta(days=3, hours=1))
    assert await times(mine) == [0, 1, 2, 3]
    exported = [part.name async for part in mine.export(A)]
    assert exported == [f"readings-{(NOW - n * DAY).date()}.parquet" for n in (3, 2, 1, 0)]
    clock.advance(timedelta(minutes=1))
    assert await times(other) == [0, 1, 2, 3]
    assert (await other.windows(A))["telemetry_raw"] == timedelta(days=3, hours=1)
    assert (await other.windows(B))["telemetry_raw"] == timedelta(days=90)


async def test_a_sweep_deletes_on_the_server_what_is_past_and_nothing_else(store: InfluxStore, client: Client) -> None:
    await days(store)
    await days(store, B)
    await store.set_window(A, "telemetry_raw", timedelta(days=3, hours=1))
    assert (await store.oldest(A))["telemetry_raw"] == NOW - 9 * DAY
    [removed] = await store.sweep(A, now=NOW)
    assert (removed.data_class, removed.start, removed.end, removed.rows) == (
        "telemetry_raw",
        NOW - 9 * DAY,
        NOW - 4 * DAY,
        6,
    )
    assert (await store.oldest(A))["telemetry_raw"] == NOW - 3 * DAY
    assert await stored(client, "machine") == {"raw_90d": 4}
    assert await stored(client, "board") == {"raw_90d": 12}
    assert await stored(client, "facts") == {"raw_90d": 4}
    assert await stored(client, "machine", B) == {"raw_90d": 10}
    assert await store.sweep(A, now=NOW) == []
    assert [one.reading for one in await store.latest(A)] == [full_reading()]


async def test_a_change_of_tier_writes_to_the_new_bucket_and_reads_both(
    store: InfluxStore, client: Client, clock: Clock
) -> None:
    await days(store)
    await store.set_window(A, "telemetry_raw", 30 * DAY)
    clock.advance(HOUR)
    await store.write(A, batch([full_reading(1, NOW + HOUR)]), now=clock.now)
    assert await stored(client, "machine") == {"raw_90d": 10, "raw_30d": 1}
    assert len(await times(store)) == 11
    assert [one.reading.time for one in await store.latest(A)] == [NOW + HOUR]
    clock.now = NOW + 35 * DAY
    assert await times(store) == []
    await store.sweep(A, now=clock.now)
    assert await stored(client, "machine") == {}


async def test_a_hold_keeps_what_is_past_where_no_rule_removes_it(store: InfluxStore, client: Client) -> None:
    await days(store)
    await store.set_window(A, "telemetry_raw", timedelta(days=3, hours=1))
    holds: Mapping[DataClass, Hold] = {"telemetry_raw": Hold(start=NOW - 6 * DAY, end=NOW - 4 * DAY)}
    assert [one.rows for one in await store.sweep(A, now=NOW, holds=holds)] == [6 - 2]
    assert await store.sweep(A, now=NOW, holds=holds) == []
    assert await stored(client, "machine") == {"raw_90d": 4, "raw_held": 2}
    assert await stored(client, "board") == {"raw_90d": 12, "raw_held": 6}
    assert await stored(client, "facts") == {"raw_90d": 4, "raw_held": 2}
    assert (await store.oldest(A))["telemetry_raw"] == NOW - 6 * DAY
    assert await times(store) == [0, 1, 2, 3], "held is not readable"
    assert tiers.rules("itsminer")["itsminer_raw_held"] is None
    [removed] = await store.sweep(A, now=NOW)
    assert (removed.start, removed.end, removed.rows) == (NOW - 6 * DAY, NOW - 5 * DAY, 2)
    assert await stored(client, "machine") == {"raw_90d": 4}


async def test_a_hold_without_bounds_keeps_all_with_its_rollups(
    store: InfluxStore, client: Client, clock: Clock
) -> None:
    await days(store, count=2)
    clock.advance(2 * HOUR)
    await store.tend(now=clock.now)
    for data_class in ("telemetry_raw", "telemetry_rollup"):
        await store.set_window(A, data_class, timedelta(0))
    assert await store.sweep(A, now=clock.now, holds={"telemetry_raw": Hold(), "telemetry_rollup": Hold()}) == []
    assert await stored(client, "machine") == {"raw_held": 2}
    assert await stored(client, "rollup") == {"5m_held": 2, "1h_held": 2}
    assert await stored(client, "total") == {"5m_held": 2, "1h_held": 2}


async def test_a_sweep_that_broke_off_is_run_again(store: InfluxStore, client: Client, front: InfluxV2) -> None:
    await days(store)
    await store.set_window(A, "telemetry_raw", timedelta(days=3, hours=1))
    front.troubles.extend(Trouble("/api/v2/delete", 503, skip=1) for _ in range(3))
    with pytest.raises(StoreUnavailable):
        await store.sweep(A, now=NOW)
    await store.sweep(A, now=NOW)
    assert await stored(client, "machine") == {"raw_90d": 4}


async def farm(store: InfluxStore, clock: Clock) -> None:
    """Two sites, three machines, two hours of polls, rolled up."""
    for site, numbers in ((SITE, (1, 2)), (SOUTH, (3,))):
        readings = [
            full_reading(number, at(minute)).model_copy(update={"hashrate_ths": float(number)})
            for number in numbers
            for minute in range(0, 120, 4)
        ]
        await store.write(A, batch(readings, site=site), now=NOW)
    await store.write(B, batch([reading(1, at(m), hashrate_ths=100.0) for m in range(0, 120, 4)]), now=NOW)
    clock.now = at(130)
    await store.tend(now=clock.now)


async def fleet(store: InfluxStore, account: AccountId = A, site: SiteId | None = None) -> list[float]:
    """Hashrate of two hours."""
    [total] = await store.fleet(account, metrics=["hashrate_ths"], start=NOW, end=at(120), step=HOUR, site=site)
    return [value for _, value in total.points]


async def test_a_machine_is_erased_with_what_it_added_to_totals(
    store: InfluxStore, client: Client, clock: Clock, front: InfluxV2
) -> None:
    await farm(store, clock)
    assert await fleet(store) == [6.0, 6.0]
    energy = (await store.energy(A, start=NOW, end=at(120), step=HOUR))[0].points
    raw, rolled = await store.erase(A, Part(machine=machine(2)))
    assert (raw.rows, raw.start, raw.end) == (30, NOW, at(116))
    assert (rolled.data_class, rolled.rows) == ("telemetry_rollup", 24 + 2)
    assert [one.reading.machine for one in await store.latest(A)] == [machine(1), machine(3)]
    front.asked.clear()
    assert await fleet(store) == [4.0, 4.0]
    assert await fleet(store, site=SITE) == [1.0, 1.0]
    assert not any('"rollup" WHERE' in text for text in front.questions()), "the totals are worked out without it"
    assert [one.machine for one in await store.energy(A, start=NOW, end=at(120), step=HOUR)] == [machine(1), machine(3)]
    assert (await store.energy(A, start=NOW, end=at(120), step=HOUR))[0].points == energy
    assert await stored(client, "facts") == {"raw_90d": 2}
    assert await fleet(store, B) == [100.0, 100.0]
    assert await store.erase(A, Part(machine=machine(2))) == []


async def test_totals_are_not_believed_while_a_machine_is_being_erased(
    store: InfluxStore, clock: Clock, front: InfluxV2
) -> None:
    await farm(store, clock)
    writes = 2  # the marks of the 5-minute totals go well, then the sums without the machine do not
    front.troubles.extend(Trouble("/api/v2/write", 503, skip=writes - 1) for _ in range(3))
    with pytest.raises(StoreUnavailable):
        await store.erase(A, Part(machine=machine(2)))
    five = timedelta(minutes=5)
    [total] = await store.fleet(A, metrics=["hashrate_ths"], start=NOW, end=at(10), step=five)
    assert [value for _, value in total.points] == [4.0, 4.0]
    await store.erase(A, Part(machine=machine(2)))
    [total] = await store.fleet(A, metrics=["hashrate_ths"], start=NOW, end=at(10), step=five)
    assert [value for _, value in total.points] == [4.0, 4.0]
    assert await fleet(store) == [4.0, 4.0]


async def test_a_site_is_erased(store: InfluxStore, client: Client, clock: Clock) -> None:
    await farm(store, clock)
    await store.erase(A, Part(site=SITE))
    assert [one.reading.machine for one in await store.latest(A)] == [machine(3)]
    assert await fleet(store) == [3.0, 3.0]
    assert await fleet(store, site=SITE) == []
    assert await stored(client, "machine") == {"raw_90d": 30}
    assert await stored(client, "facts") == {"raw_90d": 1}


async def test_of_a_time_that_is_erased_hours_that_it_cuts_are_made_anew(store: InfluxStore, clock: Clock) -> None:
    await farm(store, clock)
    raw, _ = await store.erase(A, Part(start=at(30), end=at(90)))
    assert raw.rows == 3 * 15
    query = SeriesQuery(metric="hashrate_ths", start=NOW, end=at(120), step=HOUR, aggregate="count", across="sum")
    for _ in range(2):
        [left] = await store.series(A, query)
        assert [value for _, value in left.points] == [24.0, 21.0]
        clock.advance(5 * timedelta(minutes=1))
        await store.tend(now=clock.now)
    assert await fleet(store) == [6.0, 6.0]


async def test_a_machine_is_erased_from_a_time_only(store: InfluxStore, clock: Clock) -> None:
    await farm(store, clock)
    await store.erase(A, Part(machine=machine(2), start=at(60)))
    assert await fleet(store) == [6.0, 4.0]
    assert [one.reading.time for one in await store.latest(A)] == [at(116), at(56), at(116)]
    assert [one.reading.make for one in await store.latest(A)] == ["MicroBT"] * 3, "its facts are of the whole day"


async def test_everything_goes_with_windows_and_ids_and_other_processes_know(
    stores: Stores, client: Client, clock: Clock
) -> None:
    mine, other = stores(), stores()
    sent = batch([full_reading()])
    await mine.write(A, sent, now=NOW)
    await mine.set_window(A, "telemetry_rollup", 10 * DAY)
    await farm(mine, clock)
    assert await other.latest(A) != []
    removed = await mine.erase(A, Everything())
    assert [(one.data_class, one.rows) for one in removed] == [("telemetry_raw", 90), ("telemetry_rollup", 78)]
    for store in (mine, other):
        assert await store.latest(A) == []
        assert await fleet(store) == []
    clock.advance(timedelta(minutes=1))
    assert (await other.windows(A))["telemetry_rollup"] == timedelta(days=730)
    for measurement in ("machine", "board", "facts", "rollup", "total", "batch", "window"):
        assert await stored(client, measurement) == {}, measurement
    assert await mine._windows.accounts() == [B]
    assert await fleet(mine, B) == [100.0, 100.0]
    assert await mine.write(A, sent, now=clock.now), "who comes again starts empty"
    assert [one.reading for one in await mine.latest(A)] == [full_reading()]
    assert [one.reading for one in await other.latest(A)] == [full_reading()]


async def test_what_another_process_erased_is_written_whole_again(stores: Stores) -> None:
    """Facts that were stored before are not taken for stored."""
    mine, other = stores(), stores()
    await mine.write(A, batch([full_reading()]), now=NOW)
    await mine.latest(A)
    await other.erase(A, Part(machine=machine(1)))
    assert await mine.latest(A) == []
    await mine.write(A, batch([full_reading(1, at(1))]), now=at(1))
    assert [one.reading for one in await stores().latest(A)] == [full_reading(1, at(1))]


async def test_an_export_is_imported_by_a_fresh_account(store: InfluxStore, clock: Clock) -> None:
    await days(store, count=3)
    await store.write(A, batch([reading(2), full_reading(3)], site=SOUTH), now=NOW)
    files = [(part.name, b"".join([chunk async for chunk in part.chunks])) async for part in store.export(A)]
    assert [name for name, _ in files] == [f"readings-{(NOW - n * DAY).date()}.parquet" for n in (2, 1, 0)]
    assert await store.import_(B, files) == 5
    assert await store.import_(B, files) == 0
    assert await store.latest(B) == await store.latest(A)
    assert await times(store, B) == [0, 1, 2]
    clock.advance(DAY)
    assert [part.name async for part in store.export(B, start=NOW - DAY, end=NOW)] == [
        f"readings-{(NOW - DAY).date()}.parquet"
    ]


async def test_a_hostile_machine_cannot_be_erased_into_another(store: InfluxStore) -> None:
    await store.write(A, batch([full_reading(1)]), now=NOW)
    assert await store.erase(A, Part(machine=MachineId('x" OR "account"="acc_a'))) == []
    assert await store.erase(B, Part(machine=machine(1))) == []
    assert len(await store.latest(A)) == 1
