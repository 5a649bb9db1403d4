"""What every time-series engine keeps; each test runs over each engine."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from agent.wire import Board, State
from backend.ids import AccountId
from backend.store.metrics import METRICS
from backend.store.protocol import Aggregate, Series, SeriesQuery, Store, TooManyPoints
from tests.backend.readings import NOW, SITE, at, batch, full_reading, machine, reading
from tests.contract.engines import HOUR, MINUTE, SOUTH, A, B, Engine, Time


def ask(metric: str = "hashrate_ths", **changes: Any) -> SeriesQuery:
    asked: dict[str, Any] = {"metric": metric, "start": NOW, "end": NOW + HOUR, "step": MINUTE} | changes
    return SeriesQuery(**asked)


def values(series: Series) -> list[float]:
    return [value for _, value in series.points]


async def test_what_is_written_is_read_back_whole(store: Store) -> None:
    sent = [full_reading(1), reading(2, state=State.UNREACHABLE), reading(3, boards=(Board(index=5),), fans_rpm=())]
    assert await store.write(A, batch(sent), now=NOW)
    latest = await store.latest(A)
    assert [one.reading for one in latest] == sent
    assert {one.site for one in latest} == {SITE}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
async def test_every_metric_is_what_the_catalogue_says_it_is(store: Store, metric: Any) -> None:
    readings = [full_reading(1)] + [reading(number, state=state) for number, state in enumerate(State, start=2)]
    await store.write(A, batch(readings), now=NOW)
    told = {one.machine: values(one) for one in await store.series(A, ask(metric.name))}
    assert told == {one.machine: [value] for one in readings if (value := metric.of(one)) is not None}
    assert told, "a full reading has every metric"
    assert all(metric.low <= value <= metric.high for found in told.values() for value in found)


async def test_a_value_that_is_missing_is_no_point_and_not_0(store: Store) -> None:
    readings = [reading(time=NOW, power_w=0.0), reading(time=at(1)), reading(time=at(2), power_w=7.0)]
    await store.write(A, batch(readings), now=NOW)
    [series] = await store.series(A, ask("power_w"))
    assert series.points == ((NOW, 0.0), (at(2), 7.0))


async def test_a_batch_that_comes_again_is_stored_once(store: Store) -> None:
    sent = batch([full_reading()])
    assert await store.write(A, sent, now=NOW) is True
    assert await store.write(A, sent, now=at(5)) is False
    [series] = await store.series(A, ask("hashrate_ths", aggregate="sum"))
    assert values(series) == [98.4]


async def test_of_one_batch_sent_five_times_at_once_one_is_stored(store: Store) -> None:
    sent = batch([full_reading(number) for number in range(20)])
    stored = await asyncio.gather(*(store.write(A, sent, now=NOW) for _ in range(5)))
    assert sorted(stored) == [False] * 4 + [True]
    [total] = await store.series(A, ask("is_hashing", aggregate="sum", across="sum"))
    assert values(total) == [20.0]


async def test_another_batch_under_a_known_id_changes_nothing(store: Store) -> None:
    first = batch([reading(1, hashrate_ths=1.0)])
    await store.write(A, first, now=NOW)
    assert not await store.write(A, batch([reading(2, at(1), hashrate_ths=2.0)], id=first.id), now=NOW)
    assert [one.reading.machine for one in await store.latest(A)] == [machine(1)]


async def test_an_empty_batch_is_stored_once_too(store: Store) -> None:
    empty = batch()
    assert await store.write(A, empty, now=NOW)
    assert not await store.write(A, empty, now=NOW)
    assert await store.latest(A) == []


async def test_a_late_backlog_fills_the_past_and_leaves_the_newest_reading(store: Store) -> None:
    await store.write(A, batch([reading(time=at(30), hashrate_ths=30.0)]), now=at(30))
    await store.write(A, batch([reading(time=at(10), hashrate_ths=10.0)]), now=at(31))
    assert [one.reading.time for one in await store.latest(A)] == [at(30)]
    [series] = await store.series(A, ask())
    assert series.points == ((at(10), 10.0), (at(30), 30.0))


async def test_of_several_readings_of_a_machine_in_a_batch_the_newest_is_the_latest(store: Store) -> None:
    await store.write(A, batch([reading(time=at(minute)) for minute in (1, 3, 2)]), now=NOW)
    assert [one.reading.time for one in await store.latest(A)] == [at(3)]


async def test_a_machine_that_moved_is_at_its_new_site(store: Store) -> None:
    await store.write(A, batch([reading(time=NOW)]), now=NOW)
    await store.write(A, batch([reading(time=at(1))], site=SOUTH), now=NOW)
    assert [one.site for one in await store.latest(A)] == [SOUTH]
    assert await store.latest(A, site=SITE) == []


async def test_latest_is_ordered_by_machine_and_narrowed_by_site_and_time(store: Store) -> None:
    await store.write(A, batch([reading(3, NOW), reading(1, at(1))]), now=NOW)
    await store.write(A, batch([reading(2, at(2))], site=SOUTH), now=NOW)

    async def machines(**narrowed: Any) -> list[str]:
        return [one.reading.machine for one in await store.latest(A, **narrowed)]

    assert await machines() == [machine(1), machine(2), machine(3)]
    assert await machines(site=SITE) == [machine(1), machine(3)]
    assert await machines(since=at(1)) == [machine(1), machine(2)]
    assert await machines(site=SOUTH, since=at(3)) == []


async def test_two_accounts_see_nothing_of_each_other(store: Store) -> None:
    shared = batch([reading(1, hashrate_ths=1.0), reading(2)])
    assert await store.write(A, shared, now=NOW)
    assert await store.latest(B) == []
    assert await store.series(B, ask()) == []
    assert await store.write(B, shared, now=NOW), "a batch id of A's is nothing to B"
    await store.write(B, batch([reading(1, at(1), hashrate_ths=100.0)]), now=NOW)
    assert [one.reading.time for one in await store.latest(A)] == [NOW, NOW]
    [mine] = await store.series(A, ask(across="sum"))
    assert mine.points == ((NOW, 1.0),)


@pytest.mark.parametrize("account", ["", ".", "..", "../acc_a", "acc/a", "ACC_A", "acc_a\n", "a" * 65, "acc\0", "é"])
async def test_what_is_no_account_id_is_refused(store: Store, account: str) -> None:
    for call in (
        store.write(AccountId(account), batch(), now=NOW),
        store.latest(AccountId(account)),
        store.series(AccountId(account), ask()),
    ):
        with pytest.raises(ValueError, match="no account id"):
            await call


async def test_all_is_there_after_a_restart(engine: Engine, tmp_path: Path, time: Time) -> None:
    sent = batch([full_reading()])
    store = engine(tmp_path, time)
    await store.write(A, sent, now=NOW)
    await store.close()
    await store.close()
    store = engine(tmp_path, time)
    assert [one.reading for one in await store.latest(A)] == [full_reading()]
    assert [values(one) for one in await store.series(A, ask())] == [[98.4]]
    assert not await store.write(A, sent, now=NOW)
    await store.close()


async def test_steps_lie_on_the_grid_and_the_end_is_excluded(store: Store) -> None:
    await store.write(A, batch([reading(time=at(m), hashrate_ths=m) for m in (0, 4, 5, 9.5, 10, 14)]), now=NOW)
    [series] = await store.series(A, ask(start=at(7), end=at(14), step=5 * MINUTE))
    assert series.points == ((at(5), (5 + 9.5) / 2), (at(10), 10.0))


async def test_times_between_seconds_are_kept(store: Store) -> None:
    time = NOW + timedelta(microseconds=123_456)
    await store.write(A, batch([reading(time=time, hashrate_ths=1.0)]), now=NOW)
    [series] = await store.series(A, ask(step=timedelta(microseconds=1), end=time + timedelta(microseconds=1)))
    assert series.points == ((time, 1.0),)


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [("mean", 3.0), ("min", 1.0), ("max", 6.0), ("sum", 9.0), ("last", 2.0), ("p95", 6.0), ("count", 3.0)],
)
async def test_a_step_of_a_machine_is_aggregated_as_asked(store: Store, aggregate: Aggregate, value: float) -> None:
    times = {0.0: 1.0, 2.0: 6.0, 4.0: 2.0}
    await store.write(A, batch([reading(time=at(m), hashrate_ths=v) for m, v in times.items()]), now=NOW)
    [series] = await store.series(A, ask(aggregate=aggregate, step=5 * MINUTE))
    assert series == Series(machine(1), ((NOW, value),))


@pytest.mark.parametrize(
    ("across", "value"),
    [("mean", 6.0), ("min", 2.0), ("max", 10.0), ("sum", 12.0), ("last", 10.0), ("p95", 10.0), ("count", 2.0)],
)
async def test_machines_weigh_alike_however_often_they_were_read(store: Store, across: Aggregate, value: float) -> None:
    often = [reading(1, at(minute), hashrate_ths=2.0) for minute in range(4)]
    await store.write(A, batch([*often, reading(2, at(4), hashrate_ths=10.0)]), now=NOW)
    assert await store.series(A, ask(across=across, step=5 * MINUTE)) == [Series(None, ((NOW, value),))]


def test_every_aggregate_is_tested() -> None:
    assert set(get_args(Aggregate)) == {"mean", "min", "max", "sum", "last", "p95", "count"}


async def test_95_of_100_values_are_not_above_the_95th_percentile(store: Store) -> None:
    counted = [reading(1, NOW + timedelta(seconds=n), hashrate_ths=float(n * 37 % 100 + 1)) for n in range(100)]
    await store.write(A, batch(counted), now=NOW)
    [series] = await store.series(A, ask(aggregate="p95", step=5 * MINUTE))
    assert values(series) == [95.0]


async def test_series_are_ordered_by_machine_and_narrowed_by_machine_and_site(store: Store) -> None:
    await store.write(A, batch([reading(number, hashrate_ths=number) for number in (3, 1)]), now=NOW)
    await store.write(A, batch([reading(2, hashrate_ths=2.0)], site=SOUTH), now=NOW)

    async def told(**narrowed: Any) -> dict[str | None, list[float]]:
        return {one.machine: values(one) for one in await store.series(A, ask(**narrowed))}

    assert list(await told()) == [machine(1), machine(2), machine(3)]
    assert await told(site=SITE) == {machine(1): [1.0], machine(3): [3.0]}
    assert await told(machines=(machine(3), machine(2))) == {machine(2): [2.0], machine(3): [3.0]}
    assert await told(machines=(machine(3),), site=SOUTH) == {}
    assert await told(across="sum", site=SITE) == {None: [4.0]}
    assert await told(across="sum", machines=(machine(9),)) == {}


async def test_an_unknown_metric_is_a_key_error_even_for_an_empty_account(store: Store) -> None:
    for metric in ("nonsense", "time", "state", "hashrate_ths; DROP TABLE readings"):
        with pytest.raises(KeyError):
            await store.series(A, ask(metric))


async def test_an_answer_is_never_larger_than_the_query_allows(store: Store) -> None:
    await store.write(A, batch([reading(time=at(minute), hashrate_ths=1.0) for minute in range(11)]), now=NOW)
    assert len((await store.series(A, ask(max_points=11)))[0].points) == 11
    with pytest.raises(TooManyPoints):
        await store.series(A, ask(max_points=10))
    with pytest.raises(TooManyPoints):
        await store.series(A, ask(max_points=10, across="sum"))


async def test_a_step_of_nothing_is_refused(store: Store) -> None:
    await store.write(A, batch([reading()]), now=NOW)
    with pytest.raises(ValueError, match="step"):
        await store.series(A, ask(step=timedelta(0)))


async def test_a_healthy_store_says_so(store: Store) -> None:
    await store.check()
