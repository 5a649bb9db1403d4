"""What every engine keeps of totals, energy, windows, erasure and export; each test runs over each engine."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from agent.wire import MachineId, Reading, State
from backend.ids import AccountId, SiteId
from backend.store.embedded import EmbeddedStore
from backend.store.protocol import (
    DEFAULT_WINDOWS,
    Aggregate,
    Everything,
    Format,
    Hold,
    Part,
    Retention,
    SeriesQuery,
    Store,
    Totals,
)
from tests.backend.readings import NOW, SITE, at, batch, full_reading, machine, reading
from tests.fakes import influx

A = AccountId("acc_a")
B = AccountId("acc_b")
SOUTH = SiteId("sit_south")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Clock = Callable[[], datetime]


class Whole(Store, Totals, Retention, Protocol):
    """All that an engine does."""


ENGINES: dict[str, Callable[[Path, Clock], Whole]] = {
    "embedded": lambda folder, clock: EmbeddedStore(folder, clock=clock),
    "influx": influx.store,
}


@dataclass
class Time:
    """What the store's clock says."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, time: Time) -> AsyncIterator[Whole]:
    made = ENGINES[request.param](tmp_path, time)
    yield made
    await made.close()


@pytest.fixture(params=["as it came", "tended"])
def settle(request: pytest.FixtureRequest, store: Whole) -> Callable[[], Any]:
    """Everything has to hold before rollups are made and days are sealed, and after."""

    async def done() -> None:
        if request.param == "tended":
            await store.tend(now=NOW + 3 * DAY)

    return done


def farm(seed: int, machines: int = 3, hours: int = 30, per_hour: int = 9) -> list[Reading]:
    """Readings at odd times, some without a value."""
    chance = random.Random(seed)
    found = []
    for number in range(machines):
        minutes = sorted(chance.sample(range(hours * 60), hours * per_hour))
        for minute in minutes:
            rate = None if chance.random() < 0.1 else round(chance.uniform(50, 150), 3)
            state = State.UNREACHABLE if rate is None else State.HASHING
            found.append(reading(number, at(minute - hours * 60), state, hashrate_ths=rate))
    return found


def expected(
    readings: Iterable[Reading], aggregate: Aggregate, step: timedelta, start: datetime, end: datetime
) -> dict[MachineId, dict[datetime, float]]:
    """What plain Python makes of the readings."""
    steps: dict[MachineId, dict[datetime, list[float]]] = defaultdict(lambda: defaultdict(list))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = (start - epoch) // step * step + epoch
    for one in sorted(readings, key=lambda one: one.time):
        if one.hashrate_ths is not None and first <= one.time < end:
            steps[MachineId(one.machine)][(one.time - epoch) // step * step + epoch].append(one.hashrate_ths)
    of: Mapping[Aggregate, Callable[[list[float]], float]] = {
        "mean": fmean,
        "min": min,
        "max": max,
        "sum": sum,
        "last": lambda values: values[-1],
        "count": len,
        "p95": lambda values: sorted(values)[-(-len(values) * 95 // 100) - 1],
    }
    return {name: {at_: of[aggregate](values) for at_, values in found.items()} for name, found in steps.items()}


async def told(store: Whole, **asked: Any) -> dict[MachineId | None, dict[datetime, float]]:
    return {one.machine: dict(one.points) for one in await store.series(A, SeriesQuery(**asked))}


def whole(first: str = "2025-12-30T00:00", last: str = "2026-01-02T00:00") -> dict[str, Any]:
    """Times that hold whatever these tests store."""
    return {"start": datetime.fromisoformat(first + "+00:00"), "end": datetime.fromisoformat(last + "+00:00")}


async def check_series(store: Whole, readings: list[Reading]) -> None:
    start, end = at(-29 * 60 + 13), at(-7)
    for step in (7 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR):
        for aggregate in ("mean", "min", "max", "sum", "last", "count", "p95"):
            want = expected(readings, aggregate, step, start, end)
            found = await told(store, metric="hashrate_ths", start=start, end=end, step=step, aggregate=aggregate)
            assert found.keys() == want.keys()
            for name, points in want.items():
                assert found[name] == pytest.approx(points), (step, aggregate)


@pytest.mark.slow
async def test_answers_are_the_same_before_and_after_rollups_seals_and_late_readings(store: Whole) -> None:
    readings = farm(1)
    early, late = readings[::2], readings[1::2]
    await store.write(A, batch(early), now=NOW)
    await check_series(store, early)
    await store.tend(now=NOW)
    await check_series(store, early)
    await store.write(A, batch(late), now=NOW)
    await check_series(store, readings)
    for _ in range(2):
        await store.tend(now=NOW)
        await check_series(store, readings)
    await store.tend(now=NOW + 2 * DAY)
    await check_series(store, readings)


async def test_many_late_parts_of_a_day_are_neither_lost_nor_doubled(store: Whole) -> None:
    readings = [reading(1, at(-2 * 1440 + minute), hashrate_ths=float(minute)) for minute in range(60)]
    for first in range(0, 60, 10):
        await store.write(A, batch(readings[first : first + 10]), now=NOW)
        await store.tend(now=NOW)
    for step in (MINUTE, HOUR):
        found = await told(store, metric="hashrate_ths", **whole(), step=step, aggregate="sum", across="sum")
        assert sum(found[None].values()) == sum(range(60))


async def test_totals_over_time_are_sums_of_each_machines_mean(store: Whole, settle: Callable[[], Any]) -> None:
    often = [reading(1, at(minute), hashrate_ths=10.0, power_w=100.0) for minute in range(60)]
    seldom = [reading(2, at(30), hashrate_ths=5.0), reading(3, at(31), State.UNREACHABLE)]
    await store.write(A, batch(often + seldom), now=NOW)
    await store.write(A, batch([reading(4, at(1), hashrate_ths=1.0)], site=SOUTH), now=NOW)
    await settle()
    asked: dict[str, Any] = {"start": NOW, "end": NOW + HOUR, "step": HOUR}
    metrics = ["is_unreachable", "hashrate_ths", "power_w", "inlet_temp_c"]
    found = await store.fleet(A, metrics=metrics, **asked)
    assert [(one.metric, dict(one.points)) for one in found] == [
        ("is_unreachable", {NOW: 1.0}),
        ("hashrate_ths", {NOW: 16.0}),
        ("power_w", {NOW: 100.0}),
        ("inlet_temp_c", {}),
    ]
    [south] = await store.fleet(A, metrics=["hashrate_ths"], site=SOUTH, **asked)
    assert dict(south.points) == {NOW: 1.0}
    assert [dict(one.points) for one in await store.fleet(B, metrics=metrics, **asked)] == [{}] * 4
    with pytest.raises(KeyError):
        await store.fleet(A, metrics=["nonsense"], **asked)


async def test_energy_is_power_over_time_and_a_gap_counts_nothing(store: Whole, settle: Callable[[], Any]) -> None:
    minutes = [*range(-1, 60), *range(70, 120)]  # ten minutes of silence
    of_one = [reading(1, at(minute), power_w=3000.0) for minute in minutes]
    await store.write(A, batch([*of_one, *(reading(2, at(minute), power_w=600.0) for minute in range(3))]), now=NOW)
    await store.write(A, batch([reading(3, at(minute), power_w=60.0) for minute in (0, 1)], site=SOUTH), now=NOW)
    await settle()
    asked: dict[str, Any] = {"start": NOW, "end": NOW + 2 * HOUR, "step": HOUR}
    found = {one.machine: dict(one.points) for one in await store.energy(A, **asked)}
    assert found[machine(1)] == pytest.approx({NOW: 3.0, at(60): 3.0 * 49 / 60}, rel=1e-6)
    assert found[machine(2)] == pytest.approx({NOW: 0.02}, rel=1e-4)
    [total] = await store.energy(A, is_total=True, **asked)
    assert total.machine is None
    assert dict(total.points) == pytest.approx({NOW: 3.021, at(60): 3.0 * 49 / 60}, rel=1e-4)
    [south] = await store.energy(A, site=SOUTH, **asked)
    assert south.machine == machine(3)
    assert dict(south.points) == pytest.approx({NOW: 0.001}, rel=1e-3)
    assert await store.energy(B, **asked) == []


async def test_a_machine_that_did_not_answer_takes_nothing_known(store: Whole, settle: Callable[[], Any]) -> None:
    said = [reading(1, NOW, power_w=60.0), reading(1, at(1), State.UNREACHABLE), reading(1, at(2), power_w=60.0)]
    await store.write(A, batch(said), now=NOW)
    await settle()
    [found] = await store.energy(A, start=NOW, end=NOW + HOUR, step=HOUR)
    assert dict(found.points) == pytest.approx({NOW: 0.001}, rel=1e-3)


async def test_no_later_read_sees_what_is_past_a_window_that_was_made_shorter(
    store: Whole, settle: Callable[[], Any]
) -> None:
    await store.write(A, batch([reading(1, at(minute), hashrate_ths=1.0) for minute in (-1440, -61, -59)]), now=NOW)
    await store.write(A, batch([reading(2, at(-90), hashrate_ths=1.0)]), now=NOW)
    await settle()
    await store.set_window(A, "telemetry_raw", HOUR)
    assert (await store.windows(A))["telemetry_raw"] == HOUR
    found = await told(store, metric="hashrate_ths", **whole(), step=MINUTE)
    assert found == {machine(1): {at(-59): 1.0}}
    assert [one.reading.machine for one in await store.latest(A)] == [machine(1)]
    await store.set_window(A, "telemetry_rollup", HOUR)
    hourly = await told(store, metric="hashrate_ths", **whole(), step=HOUR, aggregate="count", across="sum")
    assert sum(hourly.get(None, {}).values()) <= 1
    exported = [part async for part in store.export(A)]
    assert [part.name for part in exported] == ["readings-2026-01-01.parquet"]


async def test_rollups_outlive_the_readings_that_they_are_made_of(store: Whole, time: Time) -> None:
    await store.write(A, batch([reading(1, at(minute), hashrate_ths=2.0) for minute in range(60)]), now=NOW)
    await store.tend(now=NOW + 2 * DAY)
    time.now = NOW + 2 * DAY
    await store.set_window(A, "telemetry_raw", DAY)
    await store.sweep(A, now=time.now)
    assert await told(store, metric="hashrate_ths", **whole(), step=MINUTE) == {}
    assert await told(store, metric="hashrate_ths", **whole(), step=HOUR) == {machine(1): {NOW: 2.0}}
    assert (await store.oldest(A)) == {"telemetry_raw": None, "telemetry_rollup": NOW}


async def test_a_sweep_removes_what_is_past_and_says_so_once(
    store: Whole, time: Time, settle: Callable[[], Any]
) -> None:
    await store.write(A, batch([reading(1, at(1440 * day), hashrate_ths=1.0) for day in (-2, -1, 0)]), now=NOW)
    await settle()
    time.now = NOW + timedelta(hours=1)
    await store.set_window(A, "telemetry_raw", timedelta(hours=13))
    removed = await store.sweep(A, now=time.now)
    [raw] = [one for one in removed if one.data_class == "telemetry_raw"]
    assert (raw.rows, raw.start, raw.end) == (2, at(-2 * 1440), at(-1440))
    assert (await store.oldest(A))["telemetry_raw"] == NOW
    assert not [one for one in await store.sweep(A, now=time.now) if one.rows]
    assert await told(store, metric="hashrate_ths", **whole(), step=MINUTE) == {machine(1): {NOW: 1.0}}


async def test_what_is_held_stays_on_disk_and_goes_with_the_hold(store: Whole, settle: Callable[[], Any]) -> None:
    await store.write(A, batch([reading(1, at(1440 * day), hashrate_ths=1.0) for day in (-3, -2, 0)]), now=NOW)
    await settle()
    await store.set_window(A, "telemetry_raw", HOUR)
    held = Hold(start=at(-2 * 1440 - 5), end=at(-2 * 1440 + 5))
    [first] = [one for one in await store.sweep(A, now=NOW, hold=held) if one.data_class == "telemetry_raw"]
    assert (first.rows, first.start) == (1, at(-3 * 1440))
    assert (await store.oldest(A))["telemetry_raw"] == at(-2 * 1440)
    assert not [one for one in await store.sweep(A, now=NOW, hold=Hold()) if one.rows], "a hold without bounds"
    found = await told(store, metric="hashrate_ths", **whole(), step=MINUTE)
    assert found == {machine(1): {NOW: 1.0}}, "held is not readable"
    [second] = [one for one in await store.sweep(A, now=NOW) if one.data_class == "telemetry_raw"]
    assert second.rows == 1


async def test_readings_that_are_past_the_window_when_they_come_are_not_kept(store: Whole) -> None:
    await store.set_window(A, "telemetry_raw", HOUR)
    assert await store.write(A, batch([reading(1, at(-61), hashrate_ths=1.0), reading(2, at(-59))]), now=NOW)
    assert (await store.oldest(A))["telemetry_raw"] == at(-59)
    assert await store.sweep(A, now=NOW) == []


async def test_windows_are_each_accounts_own_and_outlast_a_restart(
    store: Whole, tmp_path: Path, time: Time, request: pytest.FixtureRequest
) -> None:
    assert await store.windows(A) == DEFAULT_WINDOWS
    await store.set_window(A, "telemetry_rollup", 3 * DAY)
    with pytest.raises(ValueError, match="window"):
        await store.set_window(A, "telemetry_raw", -DAY)
    await store.close()
    again = ENGINES[request.node.callspec.params["store"]](tmp_path, time)
    assert await again.windows(A) == {"telemetry_raw": timedelta(days=90), "telemetry_rollup": 3 * DAY}
    assert await again.windows(B) == DEFAULT_WINDOWS
    await again.close()


async def test_an_erased_machine_is_in_no_answer_and_the_others_are(store: Whole, settle: Callable[[], Any]) -> None:
    readings = [reading(number, at(-1440 + m), hashrate_ths=1.0, power_w=60.0) for number in (1, 2) for m in range(60)]
    await store.write(A, batch([*readings, full_reading(1), full_reading(2)]), now=NOW)
    await store.write(B, batch([full_reading(1)]), now=NOW)
    await settle()
    removed = await store.erase(A, Part(machine=machine(1)))
    assert [one.rows for one in removed if one.data_class == "telemetry_raw"] == [61]
    assert [one.reading.machine for one in await store.latest(A)] == [machine(2)]
    for step in (MINUTE, HOUR):
        assert (await told(store, metric="hashrate_ths", **whole(), step=step)).keys() == {machine(2)}
    assert [one.machine for one in await store.energy(A, **whole(), step=HOUR)] == [machine(2)]
    assert {row["machine"] for row in await exported(store)} == {machine(2)}
    assert len(await store.latest(B)) == 1
    assert not [one for one in await store.erase(A, Part(machine=machine(1))) if one.rows]


async def test_an_erased_site_is_gone(store: Whole, settle: Callable[[], Any]) -> None:
    await store.write(A, batch([full_reading(1)]), now=NOW)
    await store.write(A, batch([full_reading(2)], site=SOUTH), now=NOW)
    await settle()
    await store.erase(A, Part(site=SOUTH))
    assert [one.site for one in await store.latest(A)] == [SITE]
    assert (await told(store, metric="hashrate_ths", **whole(), step=HOUR)).keys() == {machine(1)}


async def test_an_erased_time_is_gone_and_the_hours_around_it_are_worked_out_anew(
    store: Whole, settle: Callable[[], Any]
) -> None:
    await store.write(A, batch([reading(1, at(m), hashrate_ths=float(m)) for m in range(0, 240, 10)]), now=NOW)
    await settle()
    await store.erase(A, Part(start=at(50), end=at(150)))
    want = {NOW: 20.0, at(120): 160.0, at(180): 205.0}
    for _ in range(2):
        assert await told(store, metric="hashrate_ths", **whole(), step=HOUR) == {machine(1): want}
        await store.tend(now=NOW + 3 * DAY)
    assert len(await exported(store)) == 14


async def test_an_erased_account_is_empty_and_can_begin_again(store: Whole, settle: Callable[[], Any]) -> None:
    sent = batch([full_reading(1)])
    for account in (A, B):
        await store.write(account, sent, now=NOW)
    await store.set_window(A, "telemetry_raw", DAY)
    await settle()
    [raw, *_] = await store.erase(A, Everything())
    assert (raw.data_class, raw.rows) == ("telemetry_raw", 1)
    assert await store.latest(A) == []
    assert await store.oldest(A) == {"telemetry_raw": None, "telemetry_rollup": None}
    assert sum((await store.usage(A)).values()) == 0
    assert await store.windows(A) == DEFAULT_WINDOWS
    assert await store.erase(A, Everything()) == []
    assert len(await store.latest(B)) == 1
    assert await store.write(A, sent, now=NOW)
    assert len(await store.latest(A)) == 1


async def taken(store: Whole, format: Format = "parquet", **asked: Any) -> list[tuple[str, bytes]]:
    return [
        (part.name, b"".join([chunk async for chunk in part.chunks]))
        async for part in store.export(A, format=format, **asked)
    ]


async def exported(store: Whole, **asked: Any) -> list[dict[str, Any]]:
    """The rows of an export."""
    files = await taken(store, **asked)
    return [row for _, content in files for row in parquet.read_table(pa.BufferReader(content)).to_pylist()]


async def test_an_export_that_is_imported_elsewhere_is_the_same_account(
    store: Whole, settle: Callable[[], Any]
) -> None:
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


async def test_an_export_can_be_read_as_csv_and_narrowed_by_time(store: Whole, settle: Callable[[], Any]) -> None:
    await store.write(A, batch([full_reading(1, at(minute)) for minute in (-90, 0, 61)]), now=NOW)
    await settle()
    [(name, content)] = await taken(store, "csv", start=at(-1), end=at(60))
    assert name == "readings-2026-01-01.csv"
    [row] = csv.DictReader(io.StringIO(content.decode()))
    assert (row["machine"], row["hashrate_ths"], row["power_mode"]) == (machine(1), "98.4", "Normal")
    assert json.loads(row["boards"])[2]["chip_temp_c"] == 80.9
    assert len(await exported(store, start=at(-90), end=at(61))) == 2


async def test_what_is_no_export_is_refused(store: Whole) -> None:
    with pytest.raises(ValueError, match=r"x\.parquet"):
        await store.import_(A, [("x.parquet", b"no such thing")])
    other = io.BytesIO()
    parquet.write_table(pa.table({"site": ["a"], "machine": ["b"]}), other)
    with pytest.raises(ValueError, match=r"y\.parquet"):
        await store.import_(A, [("y.parquet", other.getvalue())])


async def test_an_account_that_never_stored_anything_has_nothing(store: Whole) -> None:
    assert await store.oldest(A) == {"telemetry_raw": None, "telemetry_rollup": None}
    assert await store.usage(A) == {"telemetry_raw": 0, "telemetry_rollup": 0}
    assert await store.sweep(A, now=NOW) == []
    assert await store.erase(A, Part(site=SITE)) == []
    assert await taken(store) == []
    await store.tend(now=NOW)
