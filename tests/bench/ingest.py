"""Polls a second over HTTP into a whole backend: a process of its own, on one core, judging what it stores.

The agents are this process, on another core where there is one; their batches are encoded and compressed before the
clock starts. Each agent is a site with machines of its own, sends one batch after the other, in the order of time, and
waits for each answer: durable in the time series, judged, durable in the registry. An hour begins in the middle, when
what is remembered of each machine is written.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil
import zstandard
from aiohttp import ClientSession

from agent.wire import Batch, encode
from backend.config import BackendSettings
from backend.ids import AccountId, SiteId
from backend.registry import accounts, sites, tokens
from backend.registry.database import Database
from tests.bench.polls import polls
from tests.world.program import Program

AGENTS: Final = 16
"""That send at once."""
MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rate:
    """Polls that were acknowledged."""

    polls_s: float
    polls_cpu_s: float  # of the backend's CPU, all threads


@dataclass(frozen=True, slots=True)
class _Agent:
    site: SiteId
    token: str


async def measured(folder: Path, size: int, *, each: int, of_accounts: int = 1) -> Rate:
    """`AGENTS` agents, of so many accounts, with `each` batches of so many machines."""
    settings = BackendSettings(data_dir=folder / "data")
    agents = await _founded(settings, of_accounts)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - MINUTE * 60
    times = [hour + MINUTE * (number - each // 2) for number in range(each + 1)]
    queues = [_bodies(agent, number * size, size, times) for number, agent in enumerate(agents)]
    config = folder / "backend.toml"
    config.write_text(f'data_dir = "{folder / "data"}"\n[listen]\nport = 0\n')
    backend = Program("backend", "serve", "--config", str(config), log=folder / "backend.log")
    with pinned(0):
        await backend.start()

    async def listening() -> str | None:
        found = re.search(r"event=backend.listening url=(\S+)", backend.log.read_text())
        return found[1] if found else None

    try:
        url = await backend.until(listening)
        with pinned(-1):
            return await _sent(url, agents, queues, size, backend.pid)
    finally:
        await backend.stop()


async def _founded(settings: BackendSettings, of_accounts: int) -> list[_Agent]:
    settings.make_data_dir()
    now = datetime.now(UTC)
    database = Database(settings.registry_url)
    await database.migrate()
    made = []
    async with database.begin() as session:
        owners = [
            AccountId((await accounts.add(session, f"Bench {number}", region="eu", now=now)).id)
            for number in range(of_accounts)
        ]
        for number in range(AGENTS):
            account = owners[number % of_accounts]
            site = SiteId((await sites.add(session, account, f"Site {number}", now=now)).id)
            _, token = await tokens.issue(session, account, kind="agent", label="agent", site=site, now=now)
            made.append(_Agent(site, token))
    await database.close()
    return made


def _bodies(agent: _Agent, first: int, size: int, times: Sequence[datetime]) -> list[bytes]:
    pack = zstandard.ZstdCompressor(level=3).compress

    def of(at: datetime) -> Batch:
        readings = tuple(polls(size, at, first=first))
        return Batch(id=uuid4(), site=agent.site, agent="0.1.0", sent_at=at, readings=readings)

    return [pack(encode(of(at))) for at in times]


async def _sent(url: str, agents: Sequence[_Agent], queues: Sequence[list[bytes]], size: int, pid: int) -> Rate:
    backend = psutil.Process(pid)
    async with ClientSession() as client:

        async def send(agent: _Agent, bodies: Sequence[bytes]) -> None:
            headers = {
                "Authorization": f"Bearer {agent.token}",
                "Content-Type": "application/json",
                "Content-Encoding": "zstd",
            }
            for body in bodies:
                async with client.post(f"{url}/v1/batches", data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()

        async def all_send(first: int, last: int | None) -> None:
            async with asyncio.TaskGroup() as sending:
                for agent, bodies in zip(agents, queues, strict=True):
                    sending.create_task(send(agent, bodies[first:last]))

        await all_send(0, 1)  # files, ledgers, connections
        began_s, began_cpu_s = time.perf_counter(), _cpu_s(backend)
        await all_send(1, None)
        took_s, took_cpu_s = time.perf_counter() - began_s, _cpu_s(backend) - began_cpu_s
    sent = size * sum(len(bodies) - 1 for bodies in queues)
    return Rate(sent / took_s, sent / took_cpu_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This process, and those that it starts meanwhile, on one core; -1 is the last one."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(all_cores)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
