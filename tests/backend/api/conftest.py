"""The API as it is served: a listening server on loopback, a real registry, a real store, two accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import zstandard
from aiohttp import web
from pydantic import SecretStr

from agent import wire
from agent.wire import Batch
from backend.api.meters import Meters
from backend.api.routes import routes
from backend.api.server import application, runner
from backend.api.services import Services
from backend.config import BackendSettings, Limits, Listen, Sms
from backend.ids import AccountId, SiteId
from backend.registry import accounts, enrolment, sites, tokens
from backend.registry.database import Database
from backend.store.embedded import EmbeddedStore
from tests.backend.readings import NOW

LIMITS = Limits(batch_mb=1, enrolments_per_min=5, series_points=1_000, batches_at_once=8, body_s=0.5)

SMS = Sms(account="key", token=SecretStr("s3cret"), signature_secret=SecretStr("a secret of at least 32 bits"))


class RecordingJudge:
    """Remembers what it was given; fails or waits when told to."""

    def __init__(self) -> None:
        self.judged: list[tuple[AccountId, SiteId, UUID]] = []
        self.fails = False
        self.entered = asyncio.Semaphore(0)
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def judge(self, account: AccountId, site: SiteId, batch: Batch, *, now: datetime) -> None:
        self.entered.release()
        await self.may_go_on.wait()
        if self.fails:
            raise RuntimeError("sentinel: the rules are broken")
        self.judged.append((account, site, batch.id))


@dataclass
class Farm:
    """An account with a site, and the tokens of its agent and of who reads it."""

    account: AccountId
    site: SiteId
    agent: str
    read: str


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: Any
    body: bytes
    json: Any = None


@dataclass
class Served:
    """The server and how to ask it."""

    url: str
    services: Services
    judge: RecordingJudge
    session: aiohttp.ClientSession
    ours: Farm = field(init=False)
    theirs: Farm = field(init=False)
    now: datetime = NOW

    async def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> Answer:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            body = await answer.read()
            is_json = "json" in answer.content_type and body
            return Answer(
                answer.status, answer.headers, body, await answer.json(content_type=None) if is_json else None
            )

    async def get(self, path: str, token: str | None = None, **params: Any) -> Answer:
        return await self.ask("GET", path, token, params=params)

    async def send(self, sent: Batch | bytes, token: str | None, encoding: str = "zstd", **headers: str) -> Answer:
        """A batch as an agent sends it; bytes go as they are."""
        data = sent if isinstance(sent, bytes) else wire.encode(sent)
        if isinstance(sent, Batch) and encoding == "zstd":
            data = zstandard.compress(data)
        fields = {"Content-Type": "application/json", "Content-Encoding": encoding} | headers
        return await self.ask("POST", "/v1/batches", token, data=data, headers=fields)

    async def farm(self, name: str) -> Farm:
        async with self.services.database.begin() as session:
            account = AccountId((await accounts.add(session, name, region="eu", now=NOW)).id)
            site = SiteId((await sites.add(session, account, "North", now=NOW)).id)
            enrolled = await enrolment.redeem(session, await enrolment.issue(session, account, site, now=NOW), now=NOW)
            _, read = await tokens.issue(session, account, kind="read", label="test", now=NOW)
        return Farm(account, site, enrolled.token, read)

    async def code(self) -> str:
        async with self.services.database.begin() as session:
            return await enrolment.issue(session, self.ours.account, self.ours.site, now=self.now)


@pytest.fixture
async def served(tmp_path: Path, database: Database) -> AsyncIterator[Served]:
    judge = RecordingJudge()
    settings = BackendSettings(data_dir=tmp_path, limits=LIMITS, listen=Listen(proxies=("127.0.0.2/32",)), sms=SMS)
    services = Services(
        settings=settings,
        database=database,
        store=EmbeddedStore(tmp_path / "accounts", clock=lambda: made.now),
        judge=judge,
        meters=Meters(),
        clock=lambda: made.now,
    )
    serving = runner(application(services, routes(settings.limits)), shutdown_s=1)
    await serving.setup()
    site = web.TCPSite(serving, "127.0.0.1", 0)
    await site.start()
    # Bodies are sent and read as they are: compression is ours to test.
    async with aiohttp.ClientSession(skip_auto_headers=["Accept-Encoding", "Content-Type"]) as session:
        made = Served(f"http://127.0.0.1:{serving.addresses[0][1]}", services, judge, session)
        made.ours, made.theirs = await made.farm("ours"), await made.farm("theirs")
        yield made
    await serving.cleanup()
    await services.store.close()
