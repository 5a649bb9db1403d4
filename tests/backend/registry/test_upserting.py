"""Rows that are alike, written by one statement, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from backend.ids import AccountId
from backend.registry import accounts, sites
from backend.registry.database import Database
from backend.registry.listing import listed
from backend.registry.rule_tables import RuleState
from backend.registry.upserting import upsert, upsert_alike
from tests.backend.registry import databases

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = [f"mnr-{number:016d}" for number in range(1_500)]


@pytest.fixture(params=databases.KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    made = databases.new(request.param, tmp_path)
    await made.migrate()
    yield made
    await made.close()


async def _common(database: Database, name: str = "north") -> dict[str, object]:
    async with database.begin() as session:
        account = await accounts.add(session, name, region="eu", now=NOW)
        site = await sites.add(session, AccountId(account.id), name, now=NOW)
    return {"account_id": account.id, "site_id": site.id, "rule": "chip_hot", "updated_at": NOW}


async def test_rows_written_alike_are_as_those_written_one_by_one(database: Database) -> None:
    one_by_one, alike = await _common(database, "north"), await _common(database, "south")
    state = {"levels": {"warning": {"fires": True, "since": 'it\'s "hot" – 90 °C'}}, "armed": False}
    async with database.begin() as session:
        await upsert(session, RuleState, [one_by_one | {"state": state, "machine": name} for name in NAMES])
        await upsert_alike(session, RuleState, alike | {"state": state}, {"machine": NAMES})
    async with database.read() as session:
        rows = (await session.scalars(select(RuleState).order_by(RuleState.machine))).all()
    found = {
        each["site_id"]: [
            (row.machine, row.rule, row.state, row.updated_at) for row in rows if row.site_id == each["site_id"]
        ]
        for each in (one_by_one, alike)
    }
    assert found[one_by_one["site_id"]] == found[alike["site_id"]] == [(name, "chip_hot", state, NOW) for name in NAMES]


async def test_rows_written_alike_replace_those_that_are_there(database: Database) -> None:
    common = await _common(database)
    async with database.begin() as session:
        await upsert_alike(session, RuleState, common | {"state": {"is": 1}}, {"machine": NAMES[:3]})
        await upsert_alike(session, RuleState, common | {"state": {"is": 2}}, {"machine": NAMES[1:4]})
    async with database.read() as session:
        rows = (await session.execute(select(RuleState.machine, RuleState.state).order_by(RuleState.machine))).all()
    assert [(machine, state["is"]) for machine, state in rows] == list(zip(NAMES[:4], (1, 2, 2, 2), strict=True))


async def test_rows_written_alike_keep_to_what_the_database_demands(database: Database) -> None:
    strange = await _common(database) | {"site_id": "sit_strange", "state": {}}
    async with database.begin() as session:
        with pytest.raises(IntegrityError):
            await upsert_alike(session, RuleState, strange, {"machine": NAMES[:3]})


async def test_a_list_may_be_longer_than_a_statement_has_parameters(database: Database) -> None:
    common = await _common(database)
    many = [f"mnr-{number:016d}" for number in range(70_000)]
    async with database.begin() as session:
        await upsert_alike(session, RuleState, common | {"state": {}}, {"machine": NAMES})
    async with database.read() as session:
        query = (
            select(RuleState.machine).where(RuleState.machine.in_(listed(session, many))).order_by(RuleState.machine)
        )
        assert (await session.scalars(query)).all() == NAMES
        assert (await session.scalars(query.where(RuleState.machine.in_(listed(session, []))))).all() == []
