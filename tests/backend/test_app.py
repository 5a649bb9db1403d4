"""The whole service as a process: started, asked, stopped, killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import zstandard
from structlog.testing import capture_logs

from agent import wire
from agent.wire import Batch
from backend.app import serve
from backend.config import BackendSettings, Listen, Misconfigured, Registry, Sms, Smtp
from backend.ids import AccountId, SiteId
from backend.registry import accounts, sites, tokens
from backend.registry.database import Database
from tests import registry_file
from tests.backend.readings import batch, full_reading, machine, reading

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
BATCHES = 60
KILL_EVERY = 20
MANY = 1_000


@dataclass
class Farm:
    """What an agent and a reader of one account need."""

    site: SiteId
    agent: str
    read: str


async def founded(data_dir: Path) -> Farm:
    """An account with a site, in a registry that the service has not seen yet."""
    registry_file.put(data_dir)
    database = Database(f"sqlite:///{data_dir / 'registry.db'}")
    async with database.begin() as session:
        account = AccountId((await accounts.add(session, "Demo", region="eu", now=NOW)).id)
        site = SiteId((await sites.add(session, account, "North", now=NOW)).id)
        _, agent = await tokens.issue(session, account, kind="agent", site=site, label="agent", now=NOW)
        _, read = await tokens.issue(session, account, kind="read", label="read", now=NOW)
    await database.close()
    return Farm(site, agent, read)


class Backend:
    """`itsminer-backend serve` on a port of its own choice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "backend.log"
        self.url = ""

    @property
    def logged(self) -> str:
        return self.log.read_text()

    async def start(self) -> None:
        config = self.folder / "backend.toml"
        config.write_text('data_dir = "data"\n[listen]\nport = 0\n')
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "backend", "serve", "--config", str(config), stderr=log, stdout=log
            )
        async with asyncio.timeout(30):
            while not (ready := re.search(r"event=backend.listening url=(\S+)", self.logged)):
                assert self.process.returncode is None, self.logged
                await asyncio.sleep(0.02)
        self.url = ready[1]

    async def until(self, said: str) -> None:
        """Wait until it has logged this."""
        async with asyncio.timeout(10):
            while said not in self.logged:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.02)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Backend]:
    backend = Backend(folder)
    await backend.start()
    try:
        yield backend
    finally:
        if backend.process.returncode is None:
            await backend.stop(signal.SIGKILL)


async def send(session: aiohttp.ClientSession, backend: Backend, farm: Farm, sent: Batch) -> dict[str, Any]:
    """Send a batch; what the backend says. Raises `ClientError` when it is not acknowledged."""
    async with session.post(
        f"{backend.url}/v1/batches",
        data=zstandard.compress(wire.encode(sent)),
        headers={
            "Authorization": f"Bearer {farm.agent}",
            "Content-Type": "application/json",
            "Content-Encoding": "zstd",
        },
    ) as answer:
        answer.raise_for_status()
        said: dict[str, Any] = await answer.json()
        return said


async def read(backend: Backend, farm: Farm, path: str, params: Mapping[str, str] | None = None) -> Any:
    headers = {"Authorization": f"Bearer {farm.read}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(backend.url + path, params=params) as answer,
    ):
        answer.raise_for_status()
        return await answer.json()


def numbered(farm: Farm, number: int) -> Batch:
    """Batch `number`: ten machines, one second later than the one before."""
    time = NOW + timedelta(seconds=number)
    return batch((reading(index, time, hashrate_ths=1.0) for index in range(10)), site=farm.site, id=uuid4())


@pytest.mark.slow
async def test_killed_while_batches_arrive_it_loses_nothing_acknowledged_and_stores_nothing_twice(
    tmp_path: Path,
) -> None:
    farm = await founded(tmp_path / "data")
    batches = [numbered(farm, number) for number in range(BATCHES)]
    waiting = list(batches)
    acknowledged: set[int] = set()

    async def deliver(session: aiohttp.ClientSession, backend: Backend) -> None:
        """As an agent does: the oldest first, and again until it is acknowledged."""
        while waiting:
            sent = waiting[0]
            await send(session, backend, farm, sent)
            if sent in waiting:
                waiting.remove(sent)
                acknowledged.add(batches.index(sent))
            if len(acknowledged) % KILL_EVERY == 0 and waiting:
                os.kill(backend.process.pid, signal.SIGKILL)

    kills = 0
    while waiting:
        async with started(tmp_path) as backend, aiohttp.ClientSession() as session:
            ended = await asyncio.gather(*(deliver(session, backend) for _ in range(3)), return_exceptions=True)
            kills += any(isinstance(one, aiohttp.ClientError) for one in ended)
            if not waiting:
                found = await read(
                    backend,
                    farm,
                    "/v1/series",
                    {
                        "metric": "hashrate_ths",
                        "from": NOW.isoformat().replace("+00:00", "Z"),
                        "step": "1",
                        "aggregate": "sum",
                        "across": "sum",
                    },
                )
                assert await backend.stop() == 0
    assert kills >= BATCHES // KILL_EVERY - 1
    points = {round(at / 1000 - NOW.timestamp()): value for at, value in found["series"][0]["points"]}
    assert acknowledged == points.keys() == set(range(BATCHES))
    assert set(points.values()) == {10.0}, "each reading is there once"


async def test_told_to_stop_it_answers_what_is_under_way(tmp_path: Path) -> None:
    farm = await founded(tmp_path / "data")
    body = wire.encode(batch((full_reading(index, NOW) for index in range(MANY)), site=farm.site))
    async with started(tmp_path) as backend:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(backend.url.rpartition(":")[2]))
        head = f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {farm.agent}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        await read(backend, farm, "/v1/sites")  # the batch, which takes longer, has arrived before this
        backend.process.send_signal(signal.SIGTERM)
        await backend.until("backend.stopping")
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", int(backend.url.rpartition(":")[2]))
        assert b" 200 " in await reader.readline()
        writer.close()
        assert await backend.stop() == 0
        assert "event=backend.stopped" in backend.logged
    async with started(tmp_path) as backend:
        found = (await read(backend, farm, "/v1/machines"))["machines"]
        assert [one["machine"] for one in found] == [machine(index) for index in range(MANY)]
        for secret in (farm.agent, farm.read, "127.0.0.1:", machine(1)):
            assert secret not in backend.logged.replace(backend.url, "")


@asynccontextmanager
async def serving(settings: BackendSettings, said: list[Any] | None = None) -> AsyncIterator[str]:
    """The service in this process; its URL. What it logged is added to `said`."""
    stop = asyncio.Event()
    with capture_logs() as logged:
        running = asyncio.create_task(serve(settings, stop=stop, clock=lambda: datetime.now(UTC)))
        async with asyncio.timeout(30):
            while not (urls := [event["url"] for event in logged if event["event"] == "backend.listening"]):
                assert not running.done(), running.exception()
                await asyncio.sleep(0.01)
        yield urls[0]
        stop.set()
        await running
        if said is not None:
            said += logged


async def get(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def test_it_serves_the_api_and_the_page_and_tidies_up(tmp_path: Path) -> None:
    settings = BackendSettings(
        data_dir=tmp_path,
        listen=Listen(port=0),
        smtp=Smtp(host="127.0.0.1", port=1, tls="none", sender="warnings@miners.example"),
        sms=Sms.model_validate({"url": "http://127.0.0.1:1", "account": "AC0", "token": "t", "sender": "+15005550006"}),
    )
    async with serving(settings) as url:
        assert [await get(url + path) for path in ("/healthz", "/", "/v1/openapi.json", "/nothing")] == [200] * 3 + [
            404
        ]
        with pytest.raises(Misconfigured, match="another itsminer-backend serves from it"):
            await serve(settings, stop=asyncio.Event(), clock=lambda: NOW)
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(url)
    async with serving(settings) as url:
        assert await get(f"{url}/healthz") == 200


async def test_a_mail_server_that_is_not_in_the_register_of_processors_is_said_at_the_start(tmp_path: Path) -> None:
    smtp = Smtp(host="mail.example.com", port=587, sender="warnings@miners.example")
    logged: list[Any] = []
    async with serving(BackendSettings(data_dir=tmp_path, listen=Listen(port=0), smtp=smtp), logged):
        pass
    warned = [event for event in logged if event["event"] == "notify.no_processor"]
    assert [(event["channel"], event["advice"]) for event in warned] == [("email", "itsminer-backend processor add")]


async def test_it_listens_on_ipv6_too(tmp_path: Path) -> None:
    async with serving(BackendSettings(data_dir=tmp_path, listen=Listen(host="::1", port=0))) as url:
        assert url.startswith("http://[::1]:")
        assert await get(f"{url}/healthz") == 200


async def refusal(settings: BackendSettings) -> str:
    with pytest.raises(Misconfigured) as refused, capture_logs():
        await serve(settings, stop=asyncio.Event(), clock=lambda: NOW)
    return str(refused.value)


async def test_what_cannot_be_served_is_said_before_it_is_tried(tmp_path: Path) -> None:
    async with serving(BackendSettings(data_dir=tmp_path / "one", listen=Listen(port=0))) as url:
        port = int(url.rpartition(":")[2])
        taken = BackendSettings(data_dir=tmp_path / "two", listen=Listen(port=port))
        assert await refusal(taken) == f"listen: 127.0.0.1 port {port} cannot be used (Address already in use)"
    free = {"data_dir": tmp_path / "two", "listen": Listen(port=0)}
    for changes, said in (
        ({"rules": {"chip_hit": {"for_s": 1.0}}}, "rules: there is no rule chip_hit"),
        ({"rules": {"chip_hot": {"fur_s": 1.0}}}, "rules: chip_hot: there is no fur_s"),
        ({"registry": Registry.model_validate({"url": "mysql://db.example.com/x"})}, "registry.url: "),
        ({"listen": Listen(host="192.0.2.1", port=0)}, "listen: 192.0.2.1 port 0 cannot be used"),
        (
            {"smtp": Smtp(host="mail.example.com", tls="none", sender="a@b.example")},
            "smtp.tls",
        ),
    ):
        assert (await refusal(BackendSettings.model_validate(free | changes))).startswith(said)
