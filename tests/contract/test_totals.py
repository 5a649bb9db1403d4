"""What every engine keeps of sums over machines and time, whatever grain they are answered from."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import pytest

from agent.wire import MachineId, Reading, State
from backend.store.protocol import Aggregate, Store
from tests.backend.readings import NOW, SITE, at, batch, machine, reading
from tests.contract.engines import (
    DAY,
    HOUR,
    MINUTE,
    SOUTH,
    A,
    B,
    Settle,
    series_of,
    whole,
)


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


async def check_series(store: Store, readings: list[Reading]) -> None:
    start, end = at(-29 * 60 + 13), at(-7)
    for step in (7 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR):
        for aggregate in ("mean", "min", "max", "sum", "last", "count", "p95"):
            want = expected(readings, aggregate, step, start, end)
            found = await series_of(store, metric="hashrate_ths", start=start, end=end, step=step, aggregate=aggregate)
            assert found.keys() == want.keys()
            for name, points in want.items():
                assert found[name] == pytest.approx(points), (step, aggregate)


@pytest.mark.slow
async def test_answers_are_the_same_before_and_after_rollups_seals_and_late_readings(store: Store) -> None:
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


async def test_many_late_parts_of_a_day_are_neither_lost_nor_doubled(store: Store) -> None:
    readings = [reading(1, at(-2 * 1440 + minute), hashrate_ths=float(minute)) for minute in range(60)]
    for first in range(0, 60, 10):
        await store.write(A, batch(readings[first : first + 10]), now=NOW)
        await store.tend(now=NOW)
    for step in (MINUTE, HOUR):
        found = await series_of(store, metric="hashrate_ths", **whole(), step=step, aggregate="sum", across="sum")
        assert sum(found[None].values()) == sum(range(60))


async def test_totals_over_time_are_sums_of_each_machines_mean(store: Store, settle: Settle) -> None:
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


async def test_energy_is_power_over_time_and_a_gap_counts_nothing(store: Store, settle: Settle) -> None:
    minutes = [*range(-1, 60), *range(70, 120)]  # ten minutes of silence
    of_one = [reading(1, at(minute), power_w=3000.0) for minute in minutes]
    await store.write(A, batch([*of_one, *(reading(2, at(minute), power_w=600.0) for minute in range(3))]), now=NOW)
    await store.write(A, batch([reading(3, at(minute), power_w=60.0) for minute in (0, 1)], site=SOUTH), now=NOW)
    await settle()
    asked: dict[str, Any] = {"start": NOW, "end": NOW + 2 * HOUR, "step": HOUR}
    found = {one.machine: dict(one.points) for one in await store.energy(A, **asked)}
    assert found[machine(1)] == pytest.approx({NOW: 3.0, at(60): 3.0 * 49 / 60}, rel=1e-6)
    assert found[machine(2)] == pytest.approx({NOW: 0.02}, rel=1e-4)
    [total] = await store.energy(A, by="all", **asked)
    assert total.machine is None
    assert dict(total.points) == pytest.approx({NOW: 3.021, at(60): 3.0 * 49 / 60}, rel=1e-4)
    of_sites = {one.site: dict(one.points) for one in await store.energy(A, by="site", **asked)}
    assert of_sites[SITE] == pytest.approx({NOW: 3.02, at(60): 3.0 * 49 / 60}, rel=1e-4)
    assert of_sites[SOUTH] == pytest.approx({NOW: 0.001}, rel=1e-3)
    assert set(of_sites) == {SITE, SOUTH}
    [south] = await store.energy(A, site=SOUTH, **asked)
    assert south.machine == machine(3)
    assert dict(south.points) == pytest.approx({NOW: 0.001}, rel=1e-3)
    assert await store.energy(B, **asked) == []


async def test_a_machine_that_did_not_answer_takes_nothing_known(store: Store, settle: Settle) -> None:
    said = [reading(1, NOW, power_w=60.0), reading(1, at(1), State.UNREACHABLE), reading(1, at(2), power_w=60.0)]
    await store.write(A, batch(said), now=NOW)
    await settle()
    [found] = await store.energy(A, start=NOW, end=NOW + HOUR, step=HOUR)
    assert dict(found.points) == pytest.approx({NOW: 0.001}, rel=1e-3)
