"""The newest readings are remembered, and what is remembered is never out of date."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from backend.ids import AccountId
from backend.store.influx.engine import InfluxStore
from tests.backend.readings import NOW, at, batch, full_reading, machine, reading
from tests.backend.store.influx.conftest import Clock, Stores
from tests.fakes.influx_v2 import InfluxV2

A = AccountId("acc_a")
B = AccountId("acc_b")


async def times(store: InfluxStore, account: AccountId = A) -> list[float]:
    """Minutes after `NOW` of the newest readings, by machine."""
    return [(one.reading.time - NOW) / timedelta(minutes=1) for one in await store.latest(account)]


async def test_the_second_question_asks_the_server_for_no_reading(store: InfluxStore, front: InfluxV2) -> None:
    await store.write(A, batch([full_reading()]), now=NOW)
    assert await times(store) == [0]
    front.asked.clear()
    await store.write(A, batch([full_reading(1, at(1)), full_reading(2)]), now=at(1))
    assert await times(store) == [1, 0]
    assert not any('"machine" WHERE' in text for text in front.questions())


async def test_what_another_process_writes_is_seen(stores: Stores) -> None:
    mine, other = stores(), stores()
    await mine.write(A, batch([full_reading()]), now=NOW)
    assert await times(mine) == [0]
    await other.write(A, batch([full_reading(1, at(1))]), now=at(1))
    assert await times(mine) == [1]
    await other.write(A, batch([full_reading(1, at(2))]), now=at(2))
    assert await times(mine) == [2]
    assert await times(other) == [2]


async def test_another_process_makes_us_ask_anew_once_for_each_of_its_batches(stores: Stores, front: InfluxV2) -> None:
    mine, other = stores(), stores()
    await other.write(A, batch([full_reading()]), now=NOW)
    await times(mine)
    front.asked.clear()
    await times(mine)
    await times(mine)
    assert not any('"machine" WHERE' in text for text in front.questions())


async def test_a_batch_that_comes_while_the_server_is_asked_is_not_lost(stores: Stores) -> None:
    store = stores()
    await stores().write(A, batch([full_reading(1), full_reading(2)]), now=NOW)
    first = store.latest(A)
    await store._prepared()
    writing = store.write(A, batch([full_reading(1, at(1))]), now=at(1))
    await asyncio.gather(first, writing)
    assert await times(store) == [1, 0]


async def test_a_reading_past_the_window_is_no_longer_the_newest(store: InfluxStore, clock: Clock) -> None:
    await store.write(A, batch([full_reading(1), reading(2, at(60 * 24))]), now=at(60 * 24))
    assert len(await times(store)) == 2
    clock.now = NOW + timedelta(days=90, seconds=1)
    assert [one.reading.machine for one in await store.latest(A)] == [machine(2)]


async def test_a_longer_window_shows_again_what_is_still_there(store: InfluxStore, clock: Clock) -> None:
    await store.write(A, batch([full_reading()]), now=NOW)
    clock.now = NOW + timedelta(days=20)
    for days, machines in ((10, 0), (90, 1)):
        await store.set_window(A, "telemetry_raw", timedelta(days=days))
        assert len(await store.latest(A)) == machines


async def test_memory_is_bounded_over_accounts(stores: Stores) -> None:
    store = stores()
    store._newest._most = 3
    for account in (A, B):
        await store.write(account, batch([reading(number) for number in range(2)]), now=NOW)
        await times(store, account)
    assert list(store._newest._known) == [B]
    assert await times(store, A) == [0, 0]
