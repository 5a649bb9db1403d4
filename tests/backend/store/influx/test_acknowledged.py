"""Nothing is acknowledged that is not stored, whatever breaks between; what comes again is stored once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from backend.ids import AccountId
from backend.store.errors import Refused, StoreMisconfigured, StoreUnavailable
from backend.store.influx.engine import InfluxStore
from backend.store.protocol import SeriesQuery
from tests.backend.readings import NOW, at, batch, full_reading, reading
from tests.backend.store.influx.conftest import Stores
from tests.fakes.influx_v2 import InfluxV2, Trouble

A = AccountId("acc_a")
WRITE = "/api/v2/write"
HOUR = timedelta(hours=1)


async def total(store: InfluxStore) -> float:
    """How many readings there are."""
    query = SeriesQuery(metric="is_reachable", start=NOW, end=NOW + HOUR, step=HOUR, aggregate="sum", across="sum")
    found = await store.series(A, query)
    return found[0].points[0][1] if found else 0


@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("after_storing", [False, True])
async def test_a_batch_whose_writing_broke_anywhere_comes_again_and_is_there_once(
    stores: Stores, front: InfluxV2, write: int, after_storing: bool
) -> None:
    """The writes are: the account's window (at its first batch), the lines, the id."""
    store = stores()
    await store.check()
    sent = batch([full_reading(number) for number in range(3)])
    for number in range(1, write + 1):
        tries = 3 if number == write else 0
        front.troubles.extend(Trouble(WRITE, 503, after_storing=after_storing, skip=number - 1) for _ in range(tries))
    with pytest.raises(StoreUnavailable):
        await store.write(A, sent, now=NOW)
    for process in (store, stores()):
        stored = await process.write(A, sent, now=at(1))
        assert await total(process) == 3
        assert not await process.write(A, sent, now=at(2))
        assert stored == (process is store and not (write == 3 and after_storing))


@pytest.mark.parametrize(("status", "error"), [(400, Refused), (422, Refused), (401, StoreMisconfigured)])
async def test_a_batch_that_is_not_stored_raises(store: InfluxStore, front: InfluxV2, status: int, error: type) -> None:
    await store.write(A, batch(), now=NOW)
    front.troubles.append(Trouble(WRITE, status))
    sent = batch([reading()])
    with pytest.raises(error):
        await store.write(A, sent, now=NOW)
    assert await total(store) == 0
    assert await store.write(A, sent, now=NOW)
    assert await total(store) == 1


async def test_two_processes_that_get_one_batch_at_once_store_it_once(stores: Stores) -> None:
    sent = batch([full_reading(number) for number in range(5)])
    processes = [stores() for _ in range(3)]
    await asyncio.gather(*(process.write(A, sent, now=NOW) for process in processes))
    assert await total(processes[0]) == 5
    assert not any([await process.write(A, sent, now=NOW) for process in processes])


async def test_many_batches_of_one_moment_are_all_known(store: InfluxStore) -> None:
    sent = [batch() for _ in range(60)]
    assert all(await asyncio.gather(*(store.write(A, one, now=NOW) for one in sent)))
    assert not any(await asyncio.gather(*(store.write(A, one, now=NOW) for one in sent)))


async def test_a_batch_is_known_for_as_long_as_it_can_come(store: InfluxStore) -> None:
    sent = batch([reading()])
    await store.write(A, sent, now=NOW)
    assert not await store.write(A, sent, now=NOW + timedelta(days=30))


async def test_readings_past_the_window_are_not_stored_and_the_rest_is(store: InfluxStore, front: InfluxV2) -> None:
    await store.set_window(A, "telemetry_raw", timedelta(days=7))
    front.asked.clear()
    assert await store.write(A, batch([reading(1, NOW - timedelta(days=8)), reading(2)]), now=NOW)
    assert [line.split(",")[2] for line in front.lines() if line.startswith("machine,")] == [
        "machine=mnr-0000000000000002"
    ]
