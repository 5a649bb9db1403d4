"""The uplink against a real server that answers everything, hangs, lies and dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from agent import transit
from agent.enrolment import Enrolment
from agent.errors import Misconfigured, RetryLater
from agent.spool import Spool
from agent.uplink import Pacing, Uplink
from tests.agent.backend import Backend, problem, says, serving
from tests.agent.raw import NOON, batch, reading
from tests.agent.until import until

NOW = NOON + timedelta(seconds=90)
QUICK = Pacing(base_s=0.01, cap_s=0.02, paused_s=0.05, retry_after_cap_s=0.3)


class Bench:
    """A spool and its uplink, running, to one backend."""

    def __init__(self, spool: Spool, client: aiohttp.ClientSession, backend: Backend, pacing: Pacing) -> None:
        self.spool, self.backend = spool, backend
        self.token = "tok_0123456789abcdef"
        self.uplink = Uplink(client, self.enrolment, spool, lambda: NOW, pacing)

    def enrolment(self) -> Enrolment:
        return Enrolment(url=self.backend.url, account="acc_1", site="sit_1", token=SecretStr(self.token))

    def append(self, *numbers: int, readings: int = 1) -> None:
        for number in numbers:
            self.spool.append(batch(number, readings=readings))
        self.uplink.wake()

    async def until_empty(self) -> None:
        await until(lambda: self.spool.backlog().batches == 0)

    @property
    def quarantined(self) -> int:
        return self.spool.counts.quarantined


@contextlib.asynccontextmanager
async def bench(folder: Path, backend: Backend, pacing: Pacing = QUICK, timeout_s: float = 5) -> AsyncIterator[Bench]:
    with Spool(folder / "spool", 2**20) as spool:
        async with transit.session(backend.url, timeout_s=timeout_s) as client:
            made = Bench(spool, client, backend, pacing)
            running = asyncio.create_task(made.uplink.run())
            try:
                yield made
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


async def test_everything_is_sent_oldest_first_and_acknowledged(tmp_path: Path, backend: Backend) -> None:
    async with bench(tmp_path, backend) as site:
        site.append(1, 2, 3, readings=4)
        await site.until_empty()
        assert [one.id.int for one in backend.arrived] == [1, 2, 3]
        await until(lambda: site.uplink.condition.word == "idle")
        condition = site.uplink.condition
        assert (condition.acknowledged_batches, condition.acknowledged_readings) == (3, 12)
        assert condition.acknowledged_at == NOW


async def test_a_batch_that_is_spooled_later_is_sent_at_once(tmp_path: Path, backend: Backend) -> None:
    async with bench(tmp_path, backend) as site:
        await until(lambda: site.uplink.condition.word == "idle")
        site.append(1)
        await site.until_empty()
        site.append(2)
        await site.until_empty()
        assert len(backend.stored) == 2


async def test_a_request_is_what_the_contract_says(tmp_path: Path, backend: Backend) -> None:
    async with bench(tmp_path, backend) as site:
        site.append(1, readings=2)
        await site.until_empty()
    headers = backend.requests[0]
    assert headers["path"] == "/v1/batches"
    assert headers["Authorization"] == "Bearer tok_0123456789abcdef"
    assert headers["User-Agent"].startswith("itsminer-agent/")
    assert (headers["Content-Type"], headers["Content-Encoding"]) == ("application/json", "zstd")
    sent = backend.arrived[0]
    assert (sent.sent_at, sent.backlog_s) == (NOW, 90.0)
    assert sent.readings == batch(1, readings=2).readings


async def test_an_answer_that_got_lost_stores_the_batch_once(tmp_path: Path, backend: Backend) -> None:
    backend.answers = ["store and die", "store and die"]
    async with bench(tmp_path, backend) as site:
        site.append(1, 2)
        await site.until_empty()
        assert [one.id.int for one in backend.arrived] == [1, 1, 1, 2]
        assert len(backend.stored) == 2
        assert site.quarantined == 0


@pytest.mark.parametrize(
    "answer",
    [says(status) for status in (408, 429, 500, 502, 503, 504, 507, 599)]
    + [says(status) for status in (201, 202, 204, 300, 301, 302, 307, 308, 402, 404, 405, 409, 410, 415, 418, 451)]
    + [
        says(200),
        says(200, "<html>Welcome to the hotel, please sign in</html>", "text/html"),
        says(200, '{"stored": true, "readings": 1}', "text/html"),
        says(200, '{"ok": true}', "application/json"),
        says(200, '{"stored": "true", "readings": 1}', "application/json"),
        says(200, '{"stored": true}', "application/json"),
        says(200, "[]", "application/json"),
        says(200, '{"stored": true, "readings": 1}' + " " * 100_000, "application/json"),
    ],
)
async def test_an_answer_that_is_no_verdict_on_the_batch_is_tried_again(
    tmp_path: Path, backend: Backend, answer: Callable[[], web.Response]
) -> None:
    backend.answers = [answer]
    async with bench(tmp_path, backend) as site:
        site.append(1)
        await site.until_empty()
        assert [one.id.int for one in backend.arrived] == [1, 1]
        assert site.quarantined == 0


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_batch_that_is_refused_for_what_it_is_goes_to_the_quarantine(
    tmp_path: Path, backend: Backend, status: int
) -> None:
    backend.answers = [problem(status, "readings.0.time: too old")]
    async with bench(tmp_path, backend) as site:
        site.append(1, 2)
        await site.until_empty()
        assert site.quarantined == 1
        assert [one.int for one in backend.stored] == [2]


async def test_a_batch_that_is_too_big_is_halved_until_it_fits(tmp_path: Path, backend: Backend) -> None:
    async with bench(tmp_path, backend) as site:
        backend.answers = [problem(413, "too big"), problem(413, "too big")]
        site.append(1, readings=8)
        await site.until_empty()
    stored = [one.machine for kept in backend.stored.values() for one in kept.readings]
    assert sorted(stored) == [one.machine for one in batch(1, readings=8).readings]
    assert sorted(len(kept.readings) for kept in backend.stored.values()) == [2, 2, 4]
    assert site.quarantined == 0


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_refused_pauses_and_says_so_and_a_new_one_goes_on_by_itself(
    tmp_path: Path, backend: Backend, status: int
) -> None:
    backend.answers = [problem(status, "token revoked")] * 3
    async with bench(tmp_path, backend) as site:
        with capture_logs() as logs:
            site.append(1)
            await until(lambda: site.uplink.condition.word == "paused")
            assert "token revoked" in site.uplink.condition.why
            assert "enrol" in site.uplink.condition.why
            site.token = "tok_fresh456789abcdef"
            await site.until_empty()
            await until(lambda: site.uplink.condition.word == "idle")
        assert backend.requests[-1]["Authorization"] == "Bearer tok_fresh456789abcdef"
        events = [entry["event"] for entry in logs if entry["event"].startswith("uplink")]
        assert events == ["uplink.paused", "uplink.recovered"]
        assert "tok_" not in repr(logs)


async def test_a_token_that_was_renewed_is_used_at_once(tmp_path: Path, backend: Backend) -> None:
    async with bench(tmp_path, backend, Pacing(paused_s=600)) as site:
        site.append(1)
        await site.until_empty()
        site.token = "tok_fresh456789abcdef"
        site.uplink.renewed()
        backend.answers = [problem(401, "token revoked")]
        site.append(2)
        await until(lambda: site.uplink.condition.word == "paused")
        assert backend.requests[-1]["Authorization"] == "Bearer tok_fresh456789abcdef"
        site.token = "tok_third456789abcdef"
        site.uplink.renewed()
        await site.until_empty()
        assert backend.requests[-1]["Authorization"] == "Bearer tok_third456789abcdef"


async def test_an_outage_is_logged_once_and_its_end_once(tmp_path: Path, backend: Backend) -> None:
    backend.answers = [says(503)] * 5
    async with bench(tmp_path, backend) as site:
        with capture_logs() as logs:
            site.append(1)
            await site.until_empty()
            await until(lambda: site.uplink.condition.word == "idle")
        assert [entry["event"] for entry in logs] == ["uplink.waiting", "uplink.recovered"]


@pytest.mark.parametrize("kind", ["seconds", "date"])
async def test_retry_after_is_honoured(tmp_path: Path, backend: Backend, kind: str) -> None:
    value = "1" if kind == "seconds" else format_datetime(NOW + timedelta(seconds=1), usegmt=True)
    backend.answers = [says(503, Retry_After=value)]
    pacing = Pacing(base_s=0.001, cap_s=0.001, retry_after_cap_s=10)
    async with bench(tmp_path, backend, pacing) as site:
        began = time.monotonic()
        site.append(1)
        await site.until_empty()
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "value", ["999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "soon", "", "Mon, 99 X"]
)
async def test_an_absurd_retry_after_does_not_stop_the_uplink(tmp_path: Path, backend: Backend, value: str) -> None:
    backend.answers = [says(429, Retry_After=value)]
    async with bench(tmp_path, backend) as site:
        site.append(1)
        await site.until_empty()


async def test_no_redirect_is_followed_with_the_token(tmp_path: Path, backend: Backend) -> None:
    async with serving(Backend()) as elsewhere:
        backend.answers = [says(307, Location=f"{elsewhere.url}/v1/batches"), says(302, Location=elsewhere.url)]
        async with bench(tmp_path, backend) as site:
            site.append(1)
            await site.until_empty()
        assert elsewhere.requests == []


async def test_a_backend_that_hangs_costs_its_time_and_no_batch(tmp_path: Path, backend: Backend) -> None:
    backend.answers = ["hang"]
    async with bench(tmp_path, backend, timeout_s=0.3) as site:
        site.append(1)
        await until(lambda: site.uplink.condition.word == "waiting")
        assert "in time" in site.uplink.condition.why
        await site.until_empty()
        assert len(backend.stored) == 1


async def test_a_backend_that_is_down_is_waited_for(tmp_path: Path) -> None:
    gone = Backend()
    async with serving(gone):
        port = int(gone.url.rpartition(":")[2])
    async with bench(tmp_path, gone) as site:
        site.append(1, 2)
        await until(lambda: site.uplink.condition.word == "waiting")
        assert "no connection" in site.uplink.condition.why
        async with serving(gone, port=port):
            await site.until_empty()
        assert len(gone.stored) == 2


async def test_back_off_grows_to_its_cap_with_full_jitter(tmp_path: Path, backend: Backend) -> None:
    with Spool(tmp_path, 2**20) as spool:
        async with transit.session(backend.url) as client:
            enrolment = Enrolment(url=backend.url, account="a", site="s", token=SecretStr("t" * 8))
            uplink = Uplink(client, lambda: enrolment, spool, lambda: NOW, Pacing(base_s=1, cap_s=60))
            for failures, most in ((0, 1), (1, 2), (3, 8), (6, 60), (10_000, 60)):
                uplink._failures = failures
                delays = [uplink._delay_s(RetryLater("x")) for _ in range(300)]
                assert 0 <= min(delays) < most * 0.2
                assert most * 0.8 < max(delays) <= most


async def test_an_enrolment_for_another_site_is_not_mixed_with_what_waits(tmp_path: Path, backend: Backend) -> None:
    enrolments: list[Enrolment | Misconfigured] = [
        Enrolment(url=backend.url, account="a", site="sit_1", token=SecretStr("tok_first")),
        Misconfigured("being written"),
        Enrolment(url=backend.url, account="a", site="sit_2", token=SecretStr("tok_second")),
    ]

    def ask() -> Enrolment:
        answer = enrolments.pop(0) if len(enrolments) > 1 else enrolments[0]
        if isinstance(answer, Misconfigured):
            raise answer
        return answer

    backend.answers = [says(401)] * 4
    with Spool(tmp_path, 2**20) as spool:
        spool.append(batch(1))
        async with transit.session(backend.url) as client:
            running = asyncio.create_task(Uplink(client, ask, spool, lambda: NOW, QUICK).run())
            await until(lambda: spool.backlog().batches == 0)
            running.cancel()
    assert {request["Authorization"] for request in backend.requests} == {"Bearer tok_first"}


async def test_a_disk_that_fails_is_waited_for(
    tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, backend) as site:
        site.append(1)
        await site.until_empty()
        site.spool.append(batch(2))
        path = next((tmp_path / "spool").glob("*.batch"))
        whole = path.rename(tmp_path / "whole")
        path.symlink_to(path)  # reading it is an error of the system, not a damaged file
        site.uplink.wake()
        await until(lambda: site.uplink.condition.word == "waiting")
        whole.replace(path)  # in one step: what is not there is not waited for
        await site.until_empty()
        assert len(backend.stored) == 2


async def test_the_backlog_is_as_old_as_its_oldest_reading_and_never_negative(tmp_path: Path, backend: Backend) -> None:
    async with bench(tmp_path, backend) as site:
        future = batch(1).model_copy(update={"readings": (reading(time=NOW + timedelta(seconds=5)),)})
        past = batch(2).model_copy(update={"readings": (reading(), reading(time=NOON - timedelta(hours=1)))})
        site.spool.append(future)
        site.spool.append(past)
        site.uplink.wake()
        await site.until_empty()
    assert [one.backlog_s for one in backend.arrived] == [0.0, 3690.0]
