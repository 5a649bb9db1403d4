"""The running service, in this process: real sockets, registry, mail server and SMS gateway, a clock to turn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import zstandard
from sqlalchemy import select

from agent import wire
from agent.wire import Batch
from backend import ids
from backend.accounts.sessions import Sessions
from backend.app import serve
from backend.config import BackendSettings
from backend.config_file import load
from backend.ids import AccountId, SiteId
from backend.jobs import Pace
from backend.registry import accounts, members, sites, tokens
from backend.registry.account_tables import Member, Staff
from backend.registry.database import Database
from backend.registry.login_tables import Login
from backend.registry.sealed import keys_in
from backend.registry.wiring import registry
from tests import registry_file
from tests.world.catchers import Mailbox, Phone, mailbox, phone
from tests.world.program import call

T = TypeVar("T")
BRISK = Pace(tick_s=0.3, sweep_s=0.5, duties_s=0.3)
"""Nobody waits for a job's next turn."""


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: Any
    body: bytes
    json: Any = None


@dataclass
class Customer:
    """An account with an owner who is logged in, a site, and the tokens of its agent and of a program."""

    account: AccountId
    site: SiteId
    owner: str
    email: str
    session: str
    agent: str
    read: str


@dataclass
class Service:
    """How to ask it, and what it sent."""

    folder: Path
    mail: Mailbox
    sms: Phone
    client: aiohttp.ClientSession
    extra: str = ""
    port: int = 0
    ahead: timedelta = timedelta(0)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    database: Database = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "backend.toml"

    @property
    def settings(self) -> BackendSettings:
        return load(self.config)

    def now(self) -> datetime:
        """What the service thinks it is."""
        return datetime.now(UTC) + self.ahead

    async def start(self) -> None:
        """Start it and wait until it answers."""
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = probe.getsockname()[1]
        self.config.write_text(
            f"""
data_dir = "data"
public_url = "{self.url}"
[listen]
port = {self.port}
[smtp]
host = "127.0.0.1"
port = {self.mail.port}
tls = "none"
sender = "warnings@itsminer.example"
[sms]
url = "http://127.0.0.1:{self.sms.port}"
account = "AC00000000000000000000000000000000"
token_file = "sms.token"
sender = "+15005550006"
[contact]
name = "ItsMiner"
email = "contact@itsminer.example"
{self.extra}
"""
        )
        (self.folder / "sms.token").write_text("not-a-secret")
        settings = self.settings
        registry_file.put(settings.data_dir)
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(serve(settings, stop=self._stop, clock=self.now, pace=BRISK))
        self.database = registry(settings)

        async def healthy() -> bool:
            assert self._task is not None
            if self._task.done():
                await self._task
            try:
                return (await self.get("/healthz")).status == 200
            except aiohttp.ClientError:
                return False

        await until(healthy)

    async def stop(self) -> None:
        """End it, as SIGTERM does."""
        self._stop.set()
        if self._task is not None:
            await self._task
            await self.database.close()
            self._task = None

    async def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> Answer:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.client.request(method, self.url + path, headers=headers, **options) as answer:
            body = await answer.read()
            is_json = answer.content_type.endswith(("/json", "+json")) and body
            return Answer(
                answer.status, answer.headers, body, await answer.json(content_type=None) if is_json else None
            )

    async def get(self, path: str, token: str | None = None, **params: Any) -> Answer:
        return await self.ask("GET", path, token, params=params)

    async def post(self, path: str, token: str | None = None, **body: Any) -> Answer:
        return await self.ask("POST", path, token, json=body)

    async def done(self, path: str, token: str | None = None, **body: Any) -> Any:
        """A POST that has to succeed; its answer."""
        answer = await self.post(path, token, **body)
        assert answer.status < 300, (path, answer.status, answer.body)
        return answer.json

    async def seen(self, path: str, token: str | None = None, **params: Any) -> Any:
        """A GET that has to succeed; its answer."""
        answer = await self.get(path, token, **params)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json

    async def send(self, batch: Batch, token: str) -> Answer:
        """A batch as an agent sends it."""
        headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
        data = zstandard.compress(wire.encode(batch))
        return await self.ask("POST", "/v1/batches", token, data=data, headers=headers)

    async def command(self, *arguments: str) -> str:
        """`itsminer-backend …`; raises when it fails."""
        return await call("backend", *arguments, "--config", str(self.config))

    async def customer(self, name: str = "North Mining", *, region: str = "eu") -> Customer:
        """A new account."""
        email = f"owner@{name.split()[0].lower()}.example"
        async with self.database.begin() as session:
            account = AccountId((await accounts.add(session, name, region=region, now=self.now())).id)
            site = SiteId((await sites.add(session, account, "Hall", now=self.now())).id)
            owner = await members.add(
                session, account, email=email, phone="+14155550123", verified=True, now=self.now()
            )
            _, agent = await tokens.issue(session, account, kind="agent", site=site, label="agent", now=self.now())
            _, read = await tokens.issue(session, account, kind="read", label="read", now=self.now())
        return Customer(account, site, owner.id, email, await self.log_in(member=owner), agent, read)

    async def member(self, customer: Customer, email: str, role: str = "viewer") -> tuple[str, str]:
        """One more member, logged in: id and token."""
        async with self.database.begin() as session:
            made = await members.add(session, customer.account, email=email, role=role, verified=True, now=self.now())
        return made.id, await self.log_in(member=made)

    async def staff(self, email: str, role: str = "admin") -> tuple[str, str]:
        """One of the staff, logged in with a second factor: id and token."""
        async with self.database.begin() as session:
            made = Staff(
                id=ids.new("stf"),
                role=role,
                email=email,
                email_index=keys_in(session).index(email),
                created_at=self.now(),
            )
            session.add(made)
        return made.id, await self.log_in(staff=made)

    async def log_in_again(self, customer: Customer) -> str:
        """A new session of the owner's: the clock may have ended the first."""
        async with self.database.begin() as session:
            login = (await session.scalars(select(Login).where(Login.member_id == customer.owner))).one()
            sessions = Sessions(self.database, self.settings.accounts)
            _, token = await sessions.open(session, login, has_second_factor=False, now=self.now())
        return str(token)

    async def log_in(self, *, member: Member | None = None, staff: Staff | None = None) -> str:
        """A session's token; the password, which takes argon2 its time, is left out."""
        who = member or staff
        assert who is not None
        async with self.database.begin() as session:
            login = Login(
                id=ids.new("lgn"),
                account_id=member.account_id if member else None,
                member_id=member.id if member else None,
                staff_id=staff.id if staff else None,
                email_index=keys_in(session).index(who.email),
                password_hash="none",
                totp_step=0,
                created_at=self.now(),
                changed_at=self.now(),
            )
            session.add(login)
            await session.flush()
            sessions = Sessions(self.database, self.settings.accounts)
            _, token = await sessions.open(session, login, has_second_factor=staff is not None, now=self.now())
        return str(token)


async def until(ready: Callable[[], Awaitable[T]], deadline_s: float = 30) -> T:
    """Wait until it gives something true; that."""
    async with asyncio.timeout(deadline_s):
        while not (answer := await ready()):  # noqa: ASYNC110 (of another program)
            await asyncio.sleep(0.05)
    return answer


@contextlib.asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[Service]:
    """Start it; all is stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:
        made = Service(
            folder,
            mail=await stack.enter_async_context(mailbox()),
            sms=await stack.enter_async_context(phone()),
            client=await stack.enter_async_context(aiohttp.ClientSession()),
            **options,
        )
        stack.push_async_callback(made.stop)
        await made.start()
        yield made
