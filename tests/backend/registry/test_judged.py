"""How long a judged batch is remembered."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from backend.api.ingest import OLDEST
from backend.registry import accounts, judged
from backend.registry.database import Database
from backend.registry.rule_tables import JudgedBatch
from tests.backend.readings import NOW


async def test_a_judged_batch_is_remembered_for_longer_than_it_could_come_again(database: Database) -> None:
    assert judged.KEPT > OLDEST
    async with database.begin() as session:
        account = (await accounts.add(session, "Demo", region="eu", now=NOW)).id
        for days in (31, 33):
            when = NOW - timedelta(days=days)
            session.add(JudgedBatch(account_id=account, batch_id=f"{days} days ago", judged_at=when))
        await session.flush()
        await judged.forget_old(session, now=NOW)
        assert (await session.scalars(select(JudgedBatch.batch_id))).all() == ["31 days ago"]
