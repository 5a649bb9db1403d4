"""Rollups answer what the points answer, and are never believed where they are out of date."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

import pytest

from agent.wire import Batch, Board, State
from backend.ids import AccountId, SiteId
from backend.store.errors import StoreUnavailable
from backend.store.influx.engine import InfluxStore
from backend.store.protocol import Aggregate, EnergyBy, SeriesQuery
from tests.backend.readings import NOW, SITE, at, batch, machine, reading
from tests.backend.store.influx.conftest import Clock, Stores
from tests.fakes.influx_v2 import InfluxV2, Trouble

A = AccountId("acc_a")
B = AccountId("acc_b")
SOUTH = SiteId("sit_south")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
AGGREGATES: Sequence[Aggregate] = ("mean", "min", "max", "sum", "count", "last", "p95")


def polls(seed: int = 1, hours: float = 3) -> list[Batch]:
    """Three machines' polls at two sites, with gaps, what is missing, and one that moves."""
    chance = random.Random(seed)
    found = []
    for minute in range(int(hours * 60)):
        of_sites: dict[SiteId, list[Any]] = {SITE: [], SOUTH: []}
        for number in (1, 2, 3):
            if chance.random() < 0.2 or (number == 2 and 50 < minute < 75):
                continue
            is_up = chance.random() < 0.9
            fields: dict[str, Any] = {"state": State.HASHING if is_up else State.UNREACHABLE}
            if is_up:
                fields |= {"hashrate_ths": chance.randint(90_000, 110_000) / 1000, "shares_accepted": minute}
                fields["boards"] = (Board(index=0, chip_temp_c=chance.randint(6000, 9000) / 100),)
            if is_up and chance.random() < 0.8:
                fields["power_w"] = chance.randint(30_000, 35_000) / 10
            site = SOUTH if number == 3 or (number == 1 and minute > 100) else SITE
            of_sites[site].append(reading(number, at(minute), **fields))
        found += [batch(readings, site=site) for site, readings in of_sites.items()]
    return found


async def fill(store: InfluxStore, batches: Sequence[Batch]) -> None:
    """Write them, a few large ones in place of many small."""
    for site in (SITE, SOUTH):
        readings = [reading for one in batches if one.site == site for reading in one.readings]
        await store.write(A, batch(readings, site=site), now=at(180))


def question(**changes: Any) -> SeriesQuery:
    asked: dict[str, Any] = {"metric": "hashrate_ths", "start": NOW, "end": NOW + 3 * HOUR, "step": HOUR} | changes
    return SeriesQuery(**asked)


def flat(found: Any) -> list[Any]:
    """Every number in an answer, with what it is of."""
    return [
        (getattr(one, "machine", getattr(one, "metric", None)), time, pytest.approx(value, rel=1e-4, abs=1e-3))
        for one in found
        for time, value in one.points
    ]


QUESTIONS = [
    question(metric=metric, step=step, aggregate=aggregate, across=across, site=site)
    for metric, step, (aggregate, across), site in itertools.chain(
        itertools.product(
            ("hashrate_ths", "is_hashing"),
            (5 * MINUTE, HOUR),
            [(aggregate, None) for aggregate in AGGREGATES] + [("mean", across) for across in AGGREGATES],
            (None, SITE),
        ),
        itertools.product(
            ("chip_temp_c",), (7 * MINUTE, 15 * MINUTE, 3 * HOUR), [("max", "p95"), ("sum", "mean")], (None,)
        ),
    )
]


async def everything(store: InfluxStore) -> list[Any]:
    """The answers to all questions."""
    return [await store.series(A, one) for one in QUESTIONS] + [
        await store.series(A, question(end=at(130), step=5 * MINUTE)),
        await store.series(A, question(start=at(7), end=at(128), across="sum")),
        await store.series(A, question(machines=(machine(2),), step=5 * MINUTE)),
        await store.fleet(
            A, metrics=["hashrate_ths", "power_w", "is_hashing"], start=NOW, end=at(180), step=HOUR, site=SOUTH
        ),
        *[
            await store.energy(A, start=NOW, end=at(end), step=step, site=site, by=by)
            for end in (180, 171)
            for step in (5 * MINUTE, HOUR, 7 * MINUTE)
            for site in (None, SITE)
            for by in get_args(EnergyBy)
        ],
    ]


async def test_answers_are_the_same_from_rollups_as_from_points(
    store: InfluxStore, clock: Clock, front: InfluxV2
) -> None:
    await fill(store, polls())
    clock.now = at(200)
    front.asked.clear()
    before = await everything(store)
    assert not any('FROM "rollup"' in text or 'FROM "total"' in text for text in front.questions())
    await store.tend(now=clock.now)
    front.asked.clear()
    after = await everything(store)
    for asked, points, rolled in zip([*QUESTIONS, *[None] * 99], before, after, strict=False):
        assert flat(rolled) == flat(points), asked
    asked_of = [text for text in front.questions() if "hashrate_ths" in text or "energy" in text]
    assert sum('FROM "total"' in text for text in asked_of) >= 8
    assert sum('FROM "rollup"' in text for text in asked_of) >= 20


async def test_a_total_of_the_fleet_comes_from_the_sites_totals_alone(
    store: InfluxStore, clock: Clock, front: InfluxV2
) -> None:
    await store.write(A, batch([reading(n, at(m), hashrate_ths=float(n)) for n in (1, 2) for m in range(60)]), now=NOW)
    await store.write(A, batch([reading(3, at(m), hashrate_ths=3.0) for m in range(60)], site=SOUTH), now=NOW)
    clock.now = at(70)
    await store.tend(now=clock.now)
    front.asked.clear()
    [fleet] = await store.fleet(A, metrics=["hashrate_ths"], start=NOW, end=at(60), step=HOUR)
    assert fleet.points == ((NOW, 6.0),)
    assert not any('"machine" WHERE' in text or '"rollup" WHERE' in text for text in front.questions())


async def test_the_hour_that_is_not_over_is_answered_from_its_points(store: InfluxStore, clock: Clock) -> None:
    await store.write(A, batch([reading(time=at(m), hashrate_ths=10.0) for m in (0, 59, 60)]), now=at(60))
    clock.now = at(65)
    await store.tend(now=clock.now)
    await store.write(A, batch([reading(time=at(61), hashrate_ths=20.0)]), now=at(65))
    [series] = await store.series(A, question(end=at(120)))
    assert series.points == ((NOW, 10.0), (at(60), 15.0))


async def test_a_late_batch_counts_at_once_and_after_the_next_rollup(
    store: InfluxStore, clock: Clock, front: InfluxV2
) -> None:
    await store.write(A, batch([reading(time=at(5), hashrate_ths=10.0)]), now=NOW)
    clock.now = at(100)
    await store.tend(now=clock.now)
    late = batch([reading(time=at(6), hashrate_ths=30.0)])
    await store.write(A, late, now=clock.now)
    await store.write(A, late, now=clock.now)
    for wait in (timedelta(0), 2 * MINUTE):
        clock.advance(wait)
        await store.tend(now=clock.now)
        [series] = await store.series(A, question(aggregate="sum", across="sum"))
        assert series.points == ((NOW, 40.0),)
    front.asked.clear()
    await store.series(A, question())
    assert not any('"machine" WHERE' in text for text in front.questions())


async def test_a_backlog_is_rolled_up_when_it_has_come(store: InfluxStore, clock: Clock, front: InfluxV2) -> None:
    clock.now = at(600)
    await store.write(A, batch([reading(time=at(5), hashrate_ths=10.0)]), now=clock.now)
    await store.tend(now=clock.now)
    assert not any(line.startswith("rollup,") for line in front.lines())
    clock.advance(2 * MINUTE)
    await store.tend(now=clock.now)
    assert any(line.startswith("rollup,") for line in front.lines())


async def test_what_another_process_writes_makes_a_rollup_stale_here(stores: Stores, clock: Clock) -> None:
    mine, other = stores(), stores()
    await mine.write(A, batch([reading(time=at(5), hashrate_ths=10.0)]), now=NOW)
    clock.now = at(100)
    await mine.tend(now=clock.now)
    await mine.series(A, question())
    await other.write(A, batch([reading(time=at(6), hashrate_ths=30.0)]), now=clock.now)
    [series] = await mine.series(A, question())
    assert series.points == ((NOW, 20.0),)


async def test_a_restart_forgets_no_hour_that_is_to_be_rolled_up(stores: Stores, clock: Clock, front: InfluxV2) -> None:
    before = stores()
    for account in (A, B):
        await before.write(account, batch([reading(time=at(5), hashrate_ths=10.0)]), now=NOW)
    clock.now = at(100)
    after = stores()
    await after.tend(now=clock.now)
    rolled = {line.split(",")[1] for line in front.lines() if line.startswith("rollup,")}
    assert rolled == {"account=acc_a", "account=acc_b"}
    front.asked.clear()
    await after.tend(now=clock.now)
    assert not any(line.startswith("rollup,") for line in front.lines()), "once is enough"


async def test_a_rollup_that_broke_off_is_made_again(store: InfluxStore, clock: Clock, front: InfluxV2) -> None:
    await store.write(A, batch([reading(time=at(5), hashrate_ths=10.0)]), now=NOW)
    clock.now = at(100)
    front.troubles.extend(Trouble("/api/v2/write", 503, skip=2) for _ in range(3))
    with pytest.raises(StoreUnavailable):
        await store.tend(now=clock.now)
    [series] = await store.series(A, question())
    assert series.points == ((NOW, 10.0),)
    await store.tend(now=clock.now)
    [series] = await store.series(A, question())
    assert series.points == ((NOW, 10.0),)


async def test_when_the_points_are_past_their_window_the_rollups_still_answer(store: InfluxStore, clock: Clock) -> None:
    await fill(store, polls())
    clock.now = at(200)
    await store.tend(now=clock.now)
    asked = question(across="sum", step=5 * MINUTE)
    before = await store.series(A, asked)
    energy = await store.energy(A, start=NOW, end=at(180), step=HOUR)
    clock.now = NOW + timedelta(days=91)
    await store.sweep(A, now=clock.now)
    assert flat(await store.series(A, asked)) == flat(before)
    assert flat(await store.energy(A, start=NOW, end=at(180), step=HOUR)) == flat(energy)
    assert await store.series(A, question(step=MINUTE)) == []
    assert await store.latest(A) == []
    clock.now = NOW + timedelta(days=731)
    assert await store.series(A, asked) == []


async def test_an_hour_that_the_window_has_begun_to_leave_is_not_made_anew(store: InfluxStore, clock: Clock) -> None:
    """Half its points would be counted as if they were all."""
    await store.write(A, batch([reading(time=at(m), hashrate_ths=10.0) for m in (5, 55)]), now=NOW)
    clock.now = at(200)
    await store.tend(now=clock.now)
    clock.now = at(30) + timedelta(days=90)
    await store.sweep(A, now=clock.now)
    await store.write(A, batch([reading(time=at(56), hashrate_ths=10.0)]), now=clock.now)
    clock.advance(5 * MINUTE)
    await store.tend(now=clock.now)
    [series] = await store.series(A, question(aggregate="count"))
    assert series.points == ((NOW, 2.0),)


async def test_rollups_and_totals_survive_a_change_of_their_tier(store: InfluxStore, clock: Clock) -> None:
    await fill(store, polls())
    clock.now = at(200)
    await store.tend(now=clock.now)
    asked = [question(across="sum"), question(across="p95"), question(step=5 * MINUTE)]
    before = [await store.series(A, one) for one in asked]
    await store.set_window(A, "telemetry_rollup", timedelta(days=30))
    await store.set_window(A, "telemetry_raw", timedelta(days=20))
    assert [flat(await store.series(A, one)) for one in asked] == [flat(one) for one in before]
    await store.write(A, batch([reading(1, at(1.5), hashrate_ths=1000.0)]), now=clock.now)
    stale = [await store.series(A, one) for one in asked]
    assert flat(stale[0]) != flat(before[0])
    clock.advance(5 * MINUTE)
    await store.tend(now=clock.now)
    assert [flat(await store.series(A, one)) for one in asked] == [flat(one) for one in stale]


async def test_many_machines_are_rolled_up_in_pieces(store: InfluxStore, clock: Clock) -> None:
    readings = [reading(number, at(m), hashrate_ths=1.0, power_w=60.0) for number in range(250) for m in (0, 1)]
    await store.write(A, batch(readings), now=NOW)
    clock.now = at(100)
    await store.tend(now=clock.now)
    [fleet] = await store.fleet(A, metrics=["hashrate_ths"], start=NOW, end=at(60), step=HOUR)
    assert fleet.points == ((NOW, 250.0),)
    [energy] = await store.energy(A, start=NOW, end=at(60), step=HOUR, by="all")
    [(time, kwh)] = energy.points
    assert time == NOW
    assert kwh == pytest.approx(0.25)


async def test_absurd_values_do_not_stop_rollups(store: InfluxStore, clock: Clock) -> None:
    absurd = [reading(n, at(m), shares_accepted=2**53, hashrate_ths=1.0) for n in range(40) for m in range(60)]
    for some in (absurd[:1200], absurd[1200:]):
        await store.write(A, batch(some), now=NOW)
    clock.now = at(100)
    await store.tend(now=clock.now)
    fleet, shares = await store.fleet(A, metrics=["hashrate_ths", "shares_accepted"], start=NOW, end=at(60), step=HOUR)
    assert fleet.points == ((NOW, 40.0),)
    assert shares.points == ()
    [one] = await store.series(A, question(metric="shares_accepted", aggregate="max", machines=(machine(1),)))
    assert one.points == ((NOW, 2.0**53),)
