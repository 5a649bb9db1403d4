"""The service as its people meet it: registering, logging in, with mails and texts caught and a clock to set."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from multidict import CIMultiDictProxy
from pydantic import SecretStr

from backend.accounts import staff, totp
from backend.app import serve
from backend.config import Accounts, BackendSettings, Listen, Seal, Sms, Smtp
from backend.config import Contact as Operator
from backend.registry.database import Database
from backend.registry.wiring import registry
from tests import registry_file
from tests.promises.deployed import BRISK
from tests.world.catchers import Mailbox, Phone, mailbox, phone

ADULT = "1990-01-31"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    json: Any
    headers: CIMultiDictProxy[str]
    raw: bytes


@dataclass
class Person:
    """Somebody with a log-in."""

    email: str
    phone: str
    password: str
    token: str
    account: str | None
    id: str  # of the member, or of one of the staff
    totp: str | None = None
    recovery: list[str] = field(default_factory=list)
    confirmed: str = ""  # the code that switched the second factor on


@dataclass
class Service:
    """The running backend, and what it sent."""

    settings: BackendSettings
    url: str
    mails: Mailbox
    texts: Phone
    http: aiohttp.ClientSession
    offset: timedelta = timedelta(0)
    numbers: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    @property
    def registry(self) -> Path:
        return self.settings.data_dir / "registry.db"

    def query(self, sql: str) -> list[Any]:
        """What a thief of the registry's file reads."""
        with closing(sqlite3.connect(self.registry)) as registry:
            return registry.execute(sql).fetchall()

    def dump(self) -> str:
        """All of the registry, as SQL."""
        with closing(sqlite3.connect(self.registry)) as registry:
            return "\n".join(registry.iterdump())

    async def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> Answer:
        """Ask; `json=` and `params=` as aiohttp has them."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, self.url + path, headers=headers, **options) as answer:
            raw = await answer.read()
            told = (
                await answer.json(content_type=None)
                if answer.content_type.endswith(("/json", "+json")) and raw
                else None
            )
            self.answers.append(Answer(answer.status, told, answer.headers, raw))
        return self.answers[-1]

    async def get(self, path: str, token: str | None = None, **params: Any) -> Answer:
        return await self.ask("GET", path, token, params=params)

    async def post(self, path: str, json: Any = None, token: str | None = None) -> Answer:
        return await self.ask("POST", path, token, **({} if json is None else {"json": json}))

    def mails_to(self, email: str) -> list[str]:
        """The texts of the mails to an address."""
        return [str(mail.get_content()) for mail in self.mails.mails if mail["To"] == email]

    def texts_to(self, number: str) -> list[str]:
        forms = [parse_qs(body.decode()) for body in self.texts.raw]
        return [form["Body"][0] for form in forms if form["To"][0] == number]

    async def token_by_mail(self, email: str, kind: str) -> str:
        """The token of the newest mail that carries one of this kind, when it has come."""
        marker = f"/confirm#{kind}="
        mail: str = await until(lambda: next((m for m in reversed(self.mails_to(email)) if marker in m), None))
        return mail.split(marker)[1].split()[0]

    async def code_by_text(self, number: str) -> str:
        text: str = await until(lambda: next(iter(reversed(self.texts_to(number))), ""))
        return text[:6]

    def a_number(self) -> str:
        """A phone number that nobody else has here."""
        self.numbers += 1
        return f"+1415555{self.numbers:04}"

    def application(self, email: str, **fields: Any) -> dict[str, Any]:
        """What somebody of age fills in."""
        return {"email": email, "phone": self.a_number(), "password": PASSWORD, "birth_date": ADULT} | fields

    async def register(self, email: str, **fields: Any) -> Person:
        """From nothing to a session, as the owner of a new account."""
        form = self.application(email, **fields)
        begun = await self.post("/v1/register", form)
        assert begun.status == 202, begun.raw
        secret = begun.json["registration"]
        token = await self.token_by_mail(email, "email")
        verified = await self.post("/v1/register/email", {"registration": secret, "token": token})
        assert verified.status == 200, verified.raw
        return await self._finish(secret, form)

    async def join(self, by: Person, email: str, role: str) -> Person:
        """By invitation."""
        invited = await self.post("/v1/invitations", {"email": email, "role": role}, by.token)
        assert invited.status == 202, invited.raw
        form = self.application(email)
        token = await self.token_by_mail(email, "invitation")
        joined = await self.post("/v1/invitations/accept", form | {"token": token})
        assert joined.status == 202, joined.raw
        return await self._finish(joined.json["registration"], form)

    async def _finish(self, secret: str, form: Mapping[str, Any]) -> Person:
        code = await self.code_by_text(form["phone"])
        active = await self.post("/v1/register/phone", {"registration": secret, "token": code})
        assert active.json == {"active": True, "waiting_for": []}, active.raw
        return await self.log_in(form["email"], form["password"], number=form["phone"])

    async def log_in(self, email: str, password: str, number: str = "", code: str | None = None) -> Person:
        sent = {"email": email, "password": password} | ({"code": code} if code else {})
        answer = await self.post("/v1/login", sent)
        assert answer.status == 201, answer.raw
        me = (await self.get("/v1/me", answer.json["token"])).json
        return Person(
            email, number, password, answer.json["token"], me.get("account"), me.get("member") or me.get("staff")
        )

    async def employ(self, email: str, role: str) -> Person:
        """One of the staff, with their second factor on. Their token comes as from the command line."""
        async with self.opened() as database, database.begin() as session:
            _, token = await staff.add(
                session, email=email, role=role, most=self.settings.staff.with_personal_data, now=self.now
            )
        assert (await self.post("/v1/password/reset", {"token": token, "password": PASSWORD})).status == 204
        person = await self.log_in(email, PASSWORD)
        await self.second_factor(person)
        return person

    async def second_factor(self, person: Person) -> None:
        """Switch it on, as an authenticator app does."""
        secret: str = (await self.post("/v1/second-factor", token=person.token)).json["secret"]
        person.totp = secret
        code = totp.code(secret, totp.step(self.now))
        confirmed = await self.post("/v1/second-factor/confirm", {"code": code}, person.token)
        assert confirmed.status == 200
        person.confirmed = code
        person.recovery = confirmed.json["recovery_codes"]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        """The registry itself, with the keys, as the service's own commands open it."""
        database = registry(self.settings)
        try:
            yield database
        finally:
            await database.close()


async def until(ready: Callable[[], Any], deadline_s: float = 40) -> Any:
    """What `ready` gives when it gives something."""
    give_up_at = time.monotonic() + deadline_s
    while not (found := ready()):
        assert time.monotonic() < give_up_at, "waited in vain"
        await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def service(folder: Path, **changes: Any) -> AsyncIterator[Service]:
    """A service of its own in a folder; `changes` to its settings. The keys of its contacts are elsewhere."""
    async with mailbox() as mails, phone() as texts, aiohttp.ClientSession() as http:
        settings = _settings(folder, mails, texts).model_copy(update=changes)
        registry_file.put(settings.data_dir)
        made = Service(settings, f"http://127.0.0.1:{settings.listen.port}", mails, texts, http)
        async with running(made):
            yield made


@asynccontextmanager
async def running(made: Service) -> AsyncIterator[None]:
    """Serve until the block ends; also again, after an end."""
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(made.settings, stop=stop, clock=lambda: made.now, pace=BRISK), name="service")
    try:
        while not serving.done():
            try:
                if (await made.get("/healthz")).status == 200:
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
        yield
    finally:
        stop.set()
        await serving


def years_ago(now: datetime, years: int, days: int = 0) -> str:
    """A birth date of somebody who is so old today; `days` later: not yet."""
    today = now.date()
    day = 28 if (today.month, today.day) == (2, 29) else today.day
    return (date(today.year - years, today.month, day) + timedelta(days=days)).isoformat()


def _settings(folder: Path, mails: Mailbox, texts: Phone) -> BackendSettings:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "elsewhere").mkdir(exist_ok=True)
    return BackendSettings(
        data_dir=folder / "data",
        listen=Listen(port=port),
        seal=Seal(keys_file=folder / "elsewhere" / "seal-keys"),
        accounts=Accounts(logins_per_min=10_000, registrations_per_h=10_000),
        smtp=Smtp(host="127.0.0.1", port=mails.port, tls="none", sender="itsminer@service.example"),
        sms=Sms(url=f"http://127.0.0.1:{texts.port}", account="AC0", token=SecretStr("t"), sender="+15550100"),
        contact=Operator(email="help@service.example"),
    )
