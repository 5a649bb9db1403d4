"""Answers and ways that are nobody's fault for ever: the backlog waits, whole, and the status says what for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from agent import transit
from agent.enrolment import Enrolment
from agent.privacy import Privacy
from agent.spool import Spool
from agent.uplink import Pacing, Uplink
from agent.wire import Batch
from tests.agent.backend import Backend, says, serving
from tests.agent.certificates import self_signed
from tests.agent.raw import NOON, batch, reading, total
from tests.agent.until import until

QUICK = Pacing(base_s=0.01, cap_s=0.02, paused_s=0.05, retry_after_cap_s=0.3)


class ClockS:
    """Seconds that only the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


@contextlib.asynccontextmanager
async def sending(
    folder: Path,
    backend: Backend,
    *,
    privacy: Privacy | None = None,
    now: datetime = NOON,
    clock_s: Callable[[], float] | None = None,
    ca_file: Path | None = None,
) -> AsyncIterator[tuple[Spool, Uplink]]:
    enrolled = Enrolment(url=backend.url, account="acc_1", site="sit_1", token=SecretStr("tok_0123456789abcdef"))
    with Spool(folder / "spool", 2**20, clock_s or ClockS()) as spool:
        async with transit.session(backend.url, ca_file, timeout_s=5) as client:
            uplink = Uplink(client, lambda: enrolled, spool, lambda: now, QUICK, privacy=privacy)
            running = asyncio.create_task(uplink.run())
            try:
                yield spool, uplink
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


def refused(status: int, kind: str, date: datetime | None = None) -> Callable[[], web.Response]:
    problem = {"type": f"urn:itsminer:problem:{kind}", "title": "No", "status": status, "detail": f"because {kind}"}
    headers = {"Date": format_datetime(date, usegmt=True)} if date else {}
    return says(status, json.dumps(problem), "application/problem+json", **headers)


@pytest.mark.parametrize("kind", ["unknown-contract", "aggregates-not-stored"])
async def test_a_side_that_has_to_be_updated_costs_no_batch(tmp_path: Path, backend: Backend, kind: str) -> None:
    backend.answers = [refused(422, kind)] * 3
    async with sending(tmp_path, backend) as (spool, uplink):
        spool.append(batch(1))
        uplink.wake()
        await until(lambda: "update the older one" in uplink.condition.why)
        assert uplink.condition.word == "waiting"
        await until(lambda: backend.stored)
        await until(lambda: spool.backlog().batches == 0)
        assert spool.counts.quarantined == 0


@pytest.mark.parametrize(("ahead", "words"), [(timedelta(hours=2), "ahead of"), (timedelta(days=-40), "behind")])
async def test_a_clock_that_is_wrong_is_named_and_costs_no_batch(
    tmp_path: Path, backend: Backend, ahead: timedelta, words: str
) -> None:
    theirs = NOON - ahead
    backend.answers = [refused(422, "time", theirs)] * 2
    async with sending(tmp_path, backend) as (spool, uplink):
        spool.append(batch(1))
        uplink.wake()
        await until(lambda: f"s {words} the backend's" in uplink.condition.why)
        await until(lambda: backend.stored)
        assert spool.counts.quarantined == 0


async def test_readings_of_a_time_when_the_clock_was_wrong_do_not_hold_up_the_others(
    tmp_path: Path, backend: Backend
) -> None:
    backend.answers = [refused(422, "time", NOON + timedelta(seconds=20))]
    async with sending(tmp_path, backend) as (spool, uplink):
        spool.append(batch(1))
        spool.append(batch(2))
        uplink.wake()
        await until(lambda: [one.int for one in backend.stored] == [2])
        assert spool.counts.quarantined == 1


async def test_after_an_outage_news_goes_first_and_then_the_backlog_in_its_order(
    tmp_path: Path, backend: Backend
) -> None:
    clock_s = ClockS()
    with Spool(tmp_path / "spool", 2**20, clock_s) as spool:
        for number in range(5):
            spool.append(batch(number, readings=1_000))
            clock_s.now_s += 600
    async with sending(tmp_path, backend, clock_s=clock_s) as (spool, uplink):
        spool.append(batch(7))
        spool.append(batch(8))
        uplink.wake()
        await until(lambda: spool.backlog().batches == 0)
    assert [one.id.int for one in backend.arrived] == [7, 8, 0, 1, 2, 3, 4]


async def test_news_says_how_old_the_backlog_behind_it_is(tmp_path: Path, backend: Backend) -> None:
    def of(number: int, hours: int) -> Batch:
        return batch(number).model_copy(update={"readings": (reading(time=NOON - timedelta(hours=hours)),) * 1_000})

    clock_s = ClockS()
    with Spool(tmp_path / "spool", 2**20, clock_s) as spool:
        for number, hours in enumerate((3, 2, 1)):
            spool.append(of(number, hours))
    clock_s.now_s += 600
    async with sending(tmp_path, backend, clock_s=clock_s) as (spool, uplink):
        spool.append(of(7, 0))
        uplink.wake()
        await until(lambda: spool.backlog().batches == 0)
    unsent = {one.id.int: one.sent_at - timedelta(seconds=one.backlog_s) for one in backend.arrived}
    assert unsent == {number: NOON - timedelta(hours=hours) for number, hours in ((7, 3), (0, 3), (1, 2), (2, 1))}


@pytest.mark.parametrize(("days", "trusted"), [(1, False), (-1, True)])
async def test_a_certificate_that_is_not_right_is_named_and_nothing_is_sent(
    tmp_path: Path, days: int, trusted: bool
) -> None:
    authority, server = self_signed(tmp_path, days=days)
    async with serving(Backend(), tls=server) as backend:
        with capture_logs() as logs:
            async with sending(tmp_path, backend, ca_file=authority if trusted else None) as (spool, uplink):
                spool.append(batch(1))
                uplink.wake()
                await until(lambda: "certificate is not trusted" in uplink.condition.why)
                assert spool.backlog().batches == 1
        assert backend.requests == []
    assert [entry["event"] for entry in logs].count("uplink.waiting") == 1


async def test_a_demand_for_totals_is_kept_and_no_reading_is_sent_after_it(tmp_path: Path, backend: Backend) -> None:
    backend.answers = [refused(403, "aggregates-only")]
    demand = tmp_path / "totals-only"
    async with sending(tmp_path, backend, privacy=Privacy("readings", demand)) as (spool, uplink):
        for number in range(5):
            spool.append(batch(number))
        spool.append(batch(9, readings=0).model_copy(update={"aggregates": (total(),)}))
        uplink.wake()
        await until(lambda: [one.int for one in backend.stored] == [9])
        await until(lambda: uplink.condition.word == "idle")
        assert (spool.backlog().batches, spool.withheld_batches) == (5, 5)
        assert [one.id.int for one in backend.arrived] == [0, 9]
    assert Privacy("readings", demand).is_totals_only
    assert not Privacy("readings", tmp_path / "none").is_totals_only


async def test_a_demand_that_the_disk_does_not_take_is_obeyed_all_the_same(tmp_path: Path, backend: Backend) -> None:
    privacy = Privacy("readings", tmp_path / "missing" / "totals-only")
    privacy.demand_totals()
    assert privacy.is_totals_only
    assert "backend demands" in privacy.why


async def test_totals_that_are_met_by_a_demand_for_totals_wait(tmp_path: Path, backend: Backend) -> None:
    backend.answers = [refused(403, "aggregates-only")]
    async with sending(tmp_path, backend) as (spool, uplink):
        spool.append(batch(9, readings=0).model_copy(update={"aggregates": (total(),)}))
        uplink.wake()
        await until(lambda: backend.stored)
        assert spool.counts.quarantined == 0
