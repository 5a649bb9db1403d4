"""What of an account somebody wants gone is gone in every engine, and nothing else."""

from __future__ import annotations

from backend.store.protocol import DEFAULT_WINDOWS, Everything, Part, Store
from tests.backend.readings import NOW, SITE, at, batch, full_reading, machine, reading
from tests.contract.engines import (
    DAY,
    HOUR,
    MINUTE,
    SOUTH,
    A,
    B,
    Settle,
    exported,
    series_of,
    whole,
)


async def test_an_erased_machine_is_in_no_answer_and_the_others_are(store: Store, settle: Settle) -> None:
    readings = [reading(number, at(-1440 + m), hashrate_ths=1.0, power_w=60.0) for number in (1, 2) for m in range(60)]
    await store.write(A, batch([*readings, full_reading(1), full_reading(2)]), now=NOW)
    await store.write(B, batch([full_reading(1)]), now=NOW)
    await settle()
    removed = await store.erase(A, Part(machine=machine(1)))
    assert [one.rows for one in removed if one.data_class == "telemetry_raw"] == [61]
    assert [one.reading.machine for one in await store.latest(A)] == [machine(2)]
    for step in (MINUTE, HOUR):
        assert (await series_of(store, metric="hashrate_ths", **whole(), step=step)).keys() == {machine(2)}
    assert [one.machine for one in await store.energy(A, **whole(), step=HOUR)] == [machine(2)]
    assert {row["machine"] for row in await exported(store)} == {machine(2)}
    assert len(await store.latest(B)) == 1
    assert not [one for one in await store.erase(A, Part(machine=machine(1))) if one.rows]


async def test_an_erased_site_is_gone(store: Store, settle: Settle) -> None:
    await store.write(A, batch([full_reading(1)]), now=NOW)
    await store.write(A, batch([full_reading(2)], site=SOUTH), now=NOW)
    await settle()
    await store.erase(A, Part(site=SOUTH))
    assert [one.site for one in await store.latest(A)] == [SITE]
    assert (await series_of(store, metric="hashrate_ths", **whole(), step=HOUR)).keys() == {machine(1)}


async def test_an_erased_time_is_gone_and_the_hours_around_it_are_worked_out_anew(store: Store, settle: Settle) -> None:
    await store.write(A, batch([reading(1, at(m), hashrate_ths=float(m)) for m in range(0, 240, 10)]), now=NOW)
    await settle()
    await store.erase(A, Part(start=at(50), end=at(150)))
    want = {NOW: 20.0, at(120): 160.0, at(180): 205.0}
    for _ in range(2):
        assert await series_of(store, metric="hashrate_ths", **whole(), step=HOUR) == {machine(1): want}
        await store.tend(now=NOW + 3 * DAY)
    assert len(await exported(store)) == 14


async def test_an_erased_account_is_empty_and_can_begin_again(store: Store, settle: Settle) -> None:
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
