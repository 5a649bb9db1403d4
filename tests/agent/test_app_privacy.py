"""Sites that tell no single machine: what really goes over the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent import app, status
from agent.config import AgentSettings
from agent.enrolment import State, enroll
from agent.simulator.farm import Farm
from agent.uplink import Pacing
from agent.wire import encode
from tests.agent.backend import Backend, serving
from tests.agent.until import until
from tests.conftest import Simulated


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


def now() -> datetime:
    return datetime.now(UTC)


def settings(folder: Path, farm: Farm, **changes: Any) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "state_dir": folder / "state",
            "network": {"ranges": [machine.address for machine in farm.machines]},
            "poll": {"interval_s": 1, "deadline_s": 0.8, "vendor_passwords": True},
            "spool": {"flush_s": 0.1},
            **changes,
        }
    )


@contextlib.asynccontextmanager
async def running(chosen: AgentSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    quick = Pacing(base_s=0.05, cap_s=0.1, paused_s=0.2)
    task = asyncio.create_task(app.run(chosen, now, stop, pacing=quick, write_s=0.05))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


def totals_only() -> web.Response:
    problem = {"type": "urn:itsminer:problem:aggregates-only", "title": "No", "status": 403, "detail": "totals only"}
    return web.Response(status=403, text=json.dumps(problem), content_type="application/problem+json")


def totals(backend: Backend) -> list[int]:
    return [one.machines for batch in backend.stored.values() for one in batch.aggregates or ()]


async def test_in_aggregate_mode_no_machine_leaves_the_site(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated(*["avalon"] * 5)
    chosen = settings(tmp_path, farm, privacy={"mode": "aggregate"})
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    async with running(chosen):
        await until(lambda: 5 in totals(backend))
        found = status.read(State(chosen.state_dir).status)
    assert "by its own settings" in found.privacy
    sent = b"".join(encode(batch) for batch in backend.arrived)
    assert b"mnr-" not in sent
    assert b"act-" not in sent
    assert all(batch.readings == () for batch in backend.arrived)


async def test_a_demand_for_totals_is_obeyed_before_another_reading_is_sent_and_after_a_restart(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated(*["avalon"] * 5)
    chosen = settings(tmp_path, farm)
    state = State(chosen.state_dir)
    await enroll(state, backend.url, "CODE")
    backend.answers = [totals_only]
    async with running(chosen):
        await until(lambda: 5 in totals(backend))
        await until(lambda: status.read(state.status).spool.withheld > 0)
        assert "as the backend demands" in status.read(state.status).privacy
    assert [batch for batch in backend.arrived[1:] if batch.readings] == []
    assert backend.arrived[0].readings
    backend.arrived.clear()
    backend.stored.clear()
    async with running(chosen):
        await until(lambda: 5 in totals(backend))
    assert [batch for batch in backend.arrived if batch.readings] == []
    await enroll(state, backend.url, "CODE", again=True)
    async with running(chosen):
        await until(lambda: any(batch.readings for batch in backend.stored.values()))  # what waited is told after all


async def test_expected_pools_stay_at_the_site_and_only_the_answer_leaves(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon", "avalon")
    expected = "hidden-account@secret-pool.example"
    chosen = settings(tmp_path, farm, pools={"expected": [expected]})
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    async with running(chosen):
        await until(lambda: any(one.pools for batch in backend.stored.values() for one in batch.readings))
    sent = [one for batch in backend.stored.values() for one in batch.readings if one.pools]
    assert {one.pool_expected for one in sent} == {False}
    data = b"".join(encode(batch) for batch in backend.arrived)
    assert b"secret-pool" not in data
    assert b"hidden-account" not in data
    for one in sent:
        for pool in one.pools or ():
            assert pool.account is None or pool.account.startswith("act-")
            assert pool.worker is None or pool.worker.startswith("wrk-")
