"""Two backends over one registry: each batch is judged by whichever gets it, and nothing fires twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.registry.machine_tables import KnownMachine
from backend.registry.notify_tables import OutboxMessage
from backend.registry.warning_tables import Warning
from tests.backend.farm import Farm, farm, gone, hashing, idle, rounds
from tests.backend.readings import at, reading
from tests.backend.registry import databases


@pytest.fixture(params=databases.KINDS)
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Farm]:
    """A farm on each kind of registry."""
    made = databases.migrated(request.param, tmp_path)
    yield await farm(tmp_path, made)
    await made.close()


async def test_batches_that_alternate_between_two_backends_fire_once(shared: Farm) -> None:
    engines = [shared.engine(), shared.engine()]
    for minute in range(14):
        make = idle if 3 <= minute < 10 else hashing
        await asyncio.gather(
            shared.judge(engines[minute % 2], [make(1, at(minute))]),
            shared.judge(engines[1 - minute % 2], [make(2, at(minute))]),
            *(engine.tick(now=at(minute)) for engine in engines),
        )
    async with shared.database.read() as session:
        warnings = (await session.scalars(select(Warning).order_by(Warning.machine))).all()
        messages = (await session.scalars(select(OutboxMessage))).all()
    assert [(each.rule, each.started_at, each.resolved_at) for each in warnings] == 2 * [
        ("machine_not_hashing", at(8), at(13))
    ]
    assert len({each.dedup_key for each in messages}) == len(messages)


async def test_the_same_batch_at_both_at_once_is_judged_once(shared: Farm) -> None:
    engines = [shared.engine(), shared.engine()]
    made = await shared.judge(engines[0], rounds(gone, range(1, 7), range(4)))
    assert not await engines[1].judge(shared.account, shared.site, made, now=at(4))
    later = await shared.judge(engines[0], [hashing(1, at(4))])
    judged = await asyncio.gather(
        *(engine.judge(shared.account, shared.site, later, now=at(5)) for engine in engines), return_exceptions=True
    )
    assert judged == [False, False]


async def test_what_is_remembered_of_a_machine_is_the_same_whoever_judges_it(shared: Farm) -> None:
    """Three restarts, each seen by another backend than the one before."""
    engines = [shared.engine(), shared.engine()]
    uptimes_s = [5000, 30, 90, 20, 80, 10, 70]
    for minute, uptime_s in enumerate(uptimes_s):
        await shared.judge(engines[minute % 2], [reading(1, at(minute), uptime_s=float(uptime_s))])
    async with shared.database.read() as session:
        rules = (await session.scalars(select(Warning.rule))).all()
        known = (await session.scalars(select(KnownMachine))).one()
    assert rules == ["restarting"]
    assert len(known.memory["resets"]) == 3
