"""The engine over a real registry: once, in one transaction, remembered, and never twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.exc import IntegrityError

from agent.wire import State
from backend.ids import AccountId, SiteId
from backend.registry.errors import Missing
from backend.registry.rule_tables import JudgedBatch, RuleState
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import BadRule
from tests.backend.farm import M1, M2, Farm, gone, hashing, idle, rounds
from tests.backend.readings import at, batch, reading

NOT_HASHING = ("machine_not_hashing", M1, "critical")
OFFLINE = ("machine_offline", M1, "warning")
SILENT = ("agent_silent", "", "critical")


async def test_what_is_wrong_for_long_enough_fires_and_is_over_when_it_is_right_again(north: Farm) -> None:
    engine = north.engine()
    await north.feed(engine, 0, [hashing()] * 3 + [idle()] * 6)
    assert await north.firing() == [NOT_HASHING]
    await north.feed(engine, 9, [hashing()] * 4)
    assert await north.firing() == []
    (warning,) = await north.warnings()
    assert (warning.since, warning.started_at, warning.resolved_at) == (at(3), at(8), at(12))
    assert (warning.value, warning.threshold, warning.resolution) == (0, 0, "recovered")
    assert await north.states() == {}


async def test_a_batch_that_comes_again_changes_nothing(north: Farm) -> None:
    engine = north.engine()
    made = await north.judge(engine, rounds(idle, [1], range(6)))
    before = await everything(north)
    assert not await engine.judge(north.account, north.site, made, now=at(7))
    assert not await north.engine().judge(north.account, north.site, made, now=at(7))
    assert await everything(north) == before


async def everything(of: Farm) -> tuple[object, ...]:
    return await of.states(), [w.id for w in await of.warnings()], [m.id for m in await of.outbox()]


async def test_a_restart_forgets_nothing_and_fires_nothing_twice(north: Farm) -> None:
    for minute, value in enumerate([idle()] * 9 + [hashing()] * 2 + [idle()] + [hashing()] * 4):
        await north.feed(north.engine(), minute, [value])  # a new process for each batch
    (warning,) = await north.warnings()
    assert (warning.since, warning.started_at, warning.resolved_at) == (at(0), at(5), at(15))
    assert len(await north.outbox()) == 2


async def test_all_that_follows_from_a_batch_is_written_or_none_of_it(north: Farm) -> None:
    engine = north.engine()
    await north.feed(engine, 0, [idle()] * 5)
    before = await north.states()

    @event.listens_for(north.database._writer.sync_engine, "before_cursor_execute")
    def fail(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "INSERT INTO outbox" in statement:
            raise OSError("the disk is full")

    made = batch([idle(time=at(5))], site=north.site, sent_at=at(5))
    with pytest.raises(OSError, match="full"):
        await engine.judge(north.account, north.site, made, now=at(5))
    assert (await north.firing(), await north.states(), await north.outbox()) == ([], before, [])

    event.remove(north.database._writer.sync_engine, "before_cursor_execute", fail)
    assert await engine.judge(north.account, north.site, made, now=at(6))  # the agent sends it again
    assert await north.firing() == [NOT_HASHING]
    assert len(await north.outbox()) == 2


async def test_two_engines_over_one_registry_fire_once(north: Farm) -> None:
    other = north.other_process()
    engines = [north.engine(), north.engine(database=other)]
    for minute in range(12):
        await asyncio.gather(
            north.judge(engines[minute % 2], [idle(1, at(minute))]),
            north.judge(engines[1 - minute % 2], [idle(2, at(minute))]),
        )
        await asyncio.gather(*(engine.tick(now=at(minute)) for engine in engines))
    assert await north.firing() == [NOT_HASHING, ("machine_not_hashing", M2, "critical")]
    assert len(await north.warnings()) == 2
    assert len(await north.outbox()) == 2  # one mail, one text
    await other.close()


async def test_the_database_itself_refuses_a_second_active_warning(north: Farm) -> None:
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    (first,) = await north.warnings()
    columns = {column.key: getattr(first, column.key) for column in Warning.__table__.columns}
    with pytest.raises(IntegrityError):
        async with north.database.begin() as session:
            session.add(Warning(**(columns | {"id": "wrn_second"})))


async def test_a_warning_whose_state_is_lost_goes_on_and_is_no_second_one(north: Farm) -> None:
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    async with north.database.begin() as session:
        await session.execute(delete(RuleState))
    await north.judge(north.engine(), rounds(idle, [1], range(6, 13)))
    (warning,) = await north.warnings()
    assert (warning.since, warning.resolved_at) == (at(0), None)


async def test_a_late_backlog_is_judged_in_its_own_time(north: Farm) -> None:
    engine = north.engine()
    backlog = rounds(hashing, [1], [0, 1]) + rounds(idle, [1], range(2, 10)) + rounds(hashing, [1], range(10, 20))
    await north.judge(engine, backlog, now=at(600), sent_at=at(600), backlog_s=600 * 60)
    (warning,) = await north.warnings()
    assert (warning.since, warning.started_at, warning.resolved_at) == (at(2), at(7), at(13))


async def test_a_machine_that_fires_by_two_rules_has_two_warnings(north: Farm) -> None:
    engine = north.engine()
    values = rounds(idle, [1], range(6)) + rounds(gone, [1], range(6, 13)) + rounds(gone, [2], range(13))
    await north.judge(engine, values)
    assert await north.firing() == [NOT_HASHING, OFFLINE, ("machine_offline", M2, "warning")]


async def test_a_site_is_judged_by_its_own_readings_only(north: Farm) -> None:
    async with north.database.begin() as session:
        session.add(Site(id="sit_south", account_id=north.account, name="South", created_at=at(0)))
    engine = north.engine()
    for minute in range(6):
        await engine.judge(
            north.account,
            SiteId("sit_south"),
            batch([idle(time=at(minute))], site="sit_south", sent_at=at(minute)),
            now=at(minute),
        )
        await north.judge(engine, [hashing(time=at(minute))])
    assert [(w.site_id, w.rule) for w in await north.warnings()] == [("sit_south", "machine_not_hashing")]


async def test_a_site_of_another_account_is_no_site(north: Farm) -> None:
    made = batch([idle()], site=north.site)
    with pytest.raises(Missing):
        await north.engine().judge(AccountId("acc_other"), north.site, made, now=at(0))


def test_settings_that_a_rule_cannot_have_stop_the_start(north: Farm) -> None:
    with pytest.raises(BadRule, match="no rule chip_warm"):
        north.engine({"chip_warm": {"warning": 1}})


async def test_settings_shorten_a_rule(north: Farm) -> None:
    engine = north.engine({"machine_not_hashing": {"for_s": 10, "clear_for_s": 5}})
    await north.judge(engine, [idle(time=at(0)), idle(time=at(0.2))])
    assert await north.firing() == [NOT_HASHING]
    await north.judge(engine, [hashing(time=at(0.3)), hashing(time=at(0.4))])
    assert await north.firing() == []


# Silence.


async def test_a_silent_agent_raises_a_warning_and_its_next_batch_ends_it(north: Farm) -> None:
    engine = north.engine()
    await north.feed(engine, 0, [hashing()] * 3 + [None] * 4)
    assert await north.firing() == []
    await north.feed(engine, 7, [None])  # 5 minutes after the last batch, at 2
    assert await north.firing() == [SILENT]
    await north.feed(engine, 8, [None] * 3 + [hashing()])
    (warning,) = await north.warnings()
    assert (warning.since, warning.started_at, warning.resolved_at) == (at(2), at(7), at(11))


async def test_a_site_that_never_sent_anything_raises_nothing(north: Farm) -> None:
    await north.feed(north.engine(), 0, [None] * 30)
    assert await north.warnings() == []


async def test_two_engines_see_a_silence_once(north: Farm) -> None:
    other = north.other_process()
    engines = [north.engine(), north.engine(database=other)]
    await north.feed(engines[0], 0, [hashing()])
    for minute in range(1, 10):
        await asyncio.gather(*(engine.tick(now=at(minute)) for engine in engines))
    assert len(await north.warnings()) == 1
    await other.close()


async def test_after_our_own_outage_nobody_was_silent(north: Farm) -> None:
    await north.feed(north.engine(), 0, [hashing()] * 3)
    engine = north.engine()
    await north.feed(engine, 60, [None] * 5)
    assert await north.firing() == []
    await north.feed(engine, 65, [None])
    assert await north.firing() == [SILENT]  # 5 minutes since we listen again
    assert (await north.warnings())[0].since == at(60)


async def test_a_restart_is_no_outage(north: Farm) -> None:
    await north.feed(north.engine(), 0, [hashing()] * 3)
    for minute in range(3, 8):
        await north.engine().tick(now=at(minute))  # a new process each minute
    assert await north.firing() == [SILENT]


async def test_a_process_that_was_suspended_does_not_blame_the_sites(north: Farm) -> None:
    engine = north.engine()
    await north.feed(engine, 0, [hashing()] * 3)
    await engine.tick(now=at(60))
    assert await north.firing() == []


async def test_an_accounts_own_time_for_silence_counts(north: Farm) -> None:
    engine = north.engine()
    await north.actions().change_rule(north.account, "agent_silent", {"for_s": 60}, site=north.site, now=at(0))
    await north.feed(engine, 0, [hashing()] * 2 + [None])
    assert await north.firing() == []
    await north.feed(engine, 3, [None])  # but no less than two of the site's own intervals
    assert await north.firing() == [SILENT]


async def test_silence_that_is_switched_off_meanwhile_is_over_with_the_next_batch(north: Farm) -> None:
    await north.feed(north.engine(), 0, [hashing()] + [None] * 6)
    await north.feed(north.engine({"agent_silent": {"enabled": 0}}), 7, [None, hashing()])
    assert [w.resolution for w in await north.warnings()] == ["switched_off"]
    assert await north.states() == {}


# What ends without a reading.


async def test_a_paused_site_raises_nothing_and_what_it_raised_is_over(north: Farm) -> None:
    engine = north.engine()
    await north.feed(engine, 0, [idle()] * 6)
    await north.set_site(paused_at=at(6))
    await north.feed(engine, 6, [idle()] * 6 + [None] * 9)
    assert await north.firing() == []
    assert [w.resolution for w in await north.warnings()] == ["paused"]
    await north.set_site(paused_at=None)
    await north.feed(engine, 21, [idle()] * 4)
    assert await north.firing() == []  # judged anew, from when it was resumed
    await north.feed(engine, 25, [idle()] * 2)
    assert await north.firing() == [NOT_HASHING]


async def test_a_rule_that_is_gone_from_the_catalogue_leaves_no_warning_behind(north: Farm) -> None:
    async with north.database.begin() as session:
        session.add(
            Warning(
                id="wrn_old",
                account_id=north.account,
                site_id=north.site,
                machine=M1,
                rule="chip_warm",
                severity="warning",
                since=at(0),
                started_at=at(1),
            )
        )
    await north.engine().tick(now=at(2))
    assert [(w.resolved_at, w.resolution) for w in await north.warnings()] == [(at(2), "switched_off")]


async def test_judged_batches_are_forgotten_when_they_cannot_come_again(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, [hashing()])
    await engine.tick(now=at(0) + timedelta(days=31))
    async with north.database.read() as session:
        assert len((await session.scalars(select(JudgedBatch))).all()) == 1
    await engine.tick(now=at(0) + timedelta(days=33))
    async with north.database.read() as session:
        assert (await session.scalars(select(JudgedBatch))).all() == []


async def test_only_what_changed_is_written(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, rounds(hashing, range(1, 200), [0]))
    written: list[str] = []

    @event.listens_for(north.database._writer.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(" ".join(statement.split()[:3]))

    await north.judge(engine, rounds(hashing, range(1, 200), [1]))
    assert sorted(written) == ["INSERT INTO judged_batches", "INSERT INTO site_watches", "UPDATE sites SET"]


async def test_a_reading_of_the_same_round_that_comes_after_a_restart_is_judged(north: Farm) -> None:
    for minute in range(6):
        await north.judge(north.engine(), [hashing(1, at(minute))])
        await north.judge(north.engine(), [reading(2, at(minute), hashrate_ths=0, is_meant_to_mine=True)])
    assert await north.firing() == [("machine_not_hashing", M2, "critical")]


async def test_an_agent_that_is_behind_for_five_minutes_is_told_of_until_it_has_caught_up(north: Farm) -> None:
    engine = north.engine()
    for minute in range(12):
        behind_s = 1_000 if minute < 7 else 600 if minute < 9 else 0
        await north.judge(engine, [reading(time=at(minute))], backlog_s=behind_s)
        fires = [rule for rule, _, _ in await north.firing()]
        assert fires == (["agent_backlog"] if 5 <= minute < 9 else []), minute


async def test_the_number_of_a_sites_machines_survives_a_restart(north: Farm) -> None:
    wells = [reading(number, at(0), hashrate_ths=9) for number in range(1, 21)]
    await north.judge(north.engine(), wells)
    engine = north.engine()
    for minute in range(1, 11):  # after the restart only three are heard of, and those are ill
        ill = [reading(number, at(minute), State.UNREACHABLE) for number in range(1, 4)]
        await north.judge(engine, ill)
    assert {rule for rule, _, _ in await north.firing()} == {"machine_offline"}
