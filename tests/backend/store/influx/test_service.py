"""The whole service with InfluxDB behind it: what an agent is told when the server has trouble; kill -9."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent import wire
from agent.wire import Batch
from backend.config import BackendSettings, Misconfigured
from backend.config_file import load
from tests.backend.readings import batch, reading
from tests.backend.test_app import Farm, founded
from tests.fakes.influx_v2 import ORG, TOKEN, InfluxV2, Trouble

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
WRITE = "/api/v2/write"


@dataclass
class Service:
    """`itsminer-backend serve`, and how to ask it."""

    folder: Path
    influx_url: str
    farm: Farm
    session: aiohttp.ClientSession
    url: str = ""

    async def start(self) -> None:
        (self.folder / "token").write_text(TOKEN)
        config = self.folder / "backend.toml"
        config.write_text(
            f'data_dir = "data"\n[listen]\nport = 0\n'
            f'[store]\nengine = "influx"\nurl = "{self.influx_url}"\norg = "{ORG}"\ntoken_file = "token"\n'
        )
        with (self.folder / "log").open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "backend", "serve", "--config", str(config), stderr=log, stdout=log
            )
        async with asyncio.timeout(60):
            while not (ready := re.search(r"event=backend.listening url=(\S+)", (self.folder / "log").read_text())):
                assert self.process.returncode is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.05)
        self.url = ready[1]

    async def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)
        await self.process.wait()

    async def send(self, sent: Batch) -> tuple[int, str | None, Any]:
        """Status, Retry-After and what is said of a batch."""
        headers = {"Authorization": f"Bearer {self.farm.agent}", "Content-Type": "application/json"}
        async with self.session.post(f"{self.url}/v1/batches", data=wire.encode(sent), headers=headers) as answer:
            return answer.status, answer.headers.get("Retry-After"), await answer.json()

    async def seen(self) -> dict[int, float]:
        """Values by seconds after `NOW`, added up over the machines."""
        asked = {"metric": "hashrate_ths", "step": "1", "aggregate": "sum", "across": "sum"}
        asked["from"] = NOW.isoformat().replace("+00:00", "Z")
        headers = {"Authorization": f"Bearer {self.farm.read}"}
        async with self.session.get(f"{self.url}/v1/series", params=asked, headers=headers) as answer:
            found = await answer.json()
        return {round(at / 1000 - NOW.timestamp()): value for one in found["series"] for at, value in one["points"]}


@pytest.fixture
async def service(tmp_path: Path, front: InfluxV2) -> AsyncIterator[Service]:
    async with aiohttp.ClientSession() as session:
        made = Service(tmp_path, front.url, await founded(tmp_path / "data"), session)
        await made.start()
        yield made
        await made.stop()


def numbered(service: Service, number: int) -> Batch:
    time = NOW + timedelta(seconds=number)
    return batch([reading(index, time, hashrate_ths=1.0) for index in range(5)], site=service.farm.site)


async def test_an_agent_is_told_to_come_back_and_then_its_batch_is_stored_once(
    service: Service, front: InfluxV2
) -> None:
    sent = numbered(service, 0)
    front.troubles.append(Trouble(WRITE, 503, headers={"Retry-After": "17"}))
    status, retry_after, said = await service.send(sent)
    assert (status, retry_after, said["type"]) == (503, "17", "urn:itsminer:problem:store")
    front.troubles.append(Trouble(WRITE, 401))
    status, retry_after, _ = await service.send(sent)
    assert (status, retry_after) == (503, "60")
    for stored in (True, False):
        status, _, said = await service.send(sent)
        assert (status, said["stored"]) == (200, stored)
    assert await service.seen() == {0: 5.0}


async def test_a_batch_that_the_server_calls_wrong_is_one_that_the_agent_puts_aside(
    service: Service, front: InfluxV2
) -> None:
    assert (await service.send(numbered(service, 0)))[0] == 200
    front.troubles.append(Trouble(WRITE, 400))
    status, _, said = await service.send(numbered(service, 1))
    assert (status, said["type"]) == (422, "urn:itsminer:problem:store-refused")
    assert await service.seen() == {0: 5.0}


@pytest.mark.slow
async def test_killed_while_batches_arrive_it_loses_nothing_acknowledged_and_stores_nothing_twice(
    service: Service,
) -> None:
    batches = [numbered(service, number) for number in range(24)]
    acknowledged: set[int] = set()

    async def deliver(numbers: list[int]) -> None:
        for number in numbers:
            assert (await service.send(batches[number]))[0] == 200
            acknowledged.add(number)
            if len(acknowledged) in (5, 13):
                await service.stop()

    while len(acknowledged) < len(batches):
        waiting = [number for number in range(len(batches)) if number not in acknowledged]
        ended = await asyncio.gather(*(deliver(waiting[lane::3]) for lane in range(3)), return_exceptions=True)
        assert all(one is None or isinstance(one, aiohttp.ClientError) for one in ended), ended
        if service.process.returncode is not None:
            await service.start()
    assert await service.seen() == dict.fromkeys(range(24), 5.0)


def test_an_engine_without_its_server_is_a_setting_to_complete(tmp_path: Path) -> None:
    config = tmp_path / "backend.toml"
    config.write_text('[store]\nengine = "influx"\n')
    with pytest.raises(Misconfigured, match=r"backend\.toml:1: store: the engine influx needs url, org"):
        load(config, {})
    config.write_text('[store]\nengine = "influx"\nurl = "http://127.0.0.1:1"\norg = "farm"\ntoken = "secret"\n')
    with pytest.raises(Misconfigured, match="ITSMINER_INFLUX_TOKEN") as caught:
        load(config, {})
    assert '"secret"' not in str(caught.value)
    config.write_text('[store]\nengine = "influx"\nurl = "http://127.0.0.1:1"\norg = "farm"\n')
    settings: BackendSettings = load(config, {"ITSMINER_INFLUX_TOKEN": "hidden-token"})
    assert "hidden-token" not in repr(settings)
