"""The whole system in a folder: a simulated farm, an agent enrolled at a backend, catchers for what it sends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests import registry_file
from tests.world.catchers import Mailbox, Phone, mailbox, phone
from tests.world.leaks import leaks
from tests.world.program import Program, call, call_json
from tests.world.tap import Tap, tap

SHORT_RULES = """
[rules.machine_offline]
for_s = 10
clear_for_s = 5
[rules.machine_not_hashing]
for_s = 5
clear_for_s = 5
[rules.chip_hot]
for_s = 5
critical_for_s = 5
clear_for_s = 5
[rules.fan_stopped]
for_s = 5
clear_for_s = 5
[notify]
group_wait_s = 2
update_s = 10
"""


@dataclass
class World:
    """What runs, where it lives and what came out of it."""

    folder: Path
    mail: Mailbox
    sms: Phone
    interval_s: float = 5
    rules: str = SHORT_RULES
    ranges: str = "127.77.0.1"
    deadline_s: float = 4
    account: str = ""
    site: str = ""
    token: str = ""
    machines: list[dict[str, Any]] = field(default_factory=list)
    farm: Program = field(init=False)
    agent: Program = field(init=False)
    backend: Program = field(init=False)
    wire: Tap | None = None
    _port: int = 0

    @property
    def backend_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def backend_config(self) -> Path:
        return self.folder / "backend.toml"

    @property
    def agent_config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def _faults(self) -> Path:
        return self.folder / "faults.toml"

    @property
    def identifiers(self) -> list[str]:
        return sorted({word for machine in self.machines for word in machine["identifiers"]})

    async def start_farm(self, *arguments: str) -> None:
        """Start the simulator and wait until every machine listens. All are well, unless `--faults` is given."""
        if "--faults" not in arguments:
            self._faults.write_text("fault = []")
            arguments = (*arguments, "--faults", str(self._faults))
        self.farm = Program("agent", "simulate", "--json", *arguments, log=self.folder / "farm.log")
        await self.farm.start()

        async def listening() -> list[dict[str, Any]] | None:
            text = self.farm.out.read_text()
            await asyncio.sleep(0.1)  # all lines come in one go: done when no more follow
            if not text or text != self.farm.out.read_text():
                return None
            return [json.loads(line) for line in text.splitlines()]

        self.machines = await self.farm.until(listening)
        self.ranges = '", "'.join(machine["address"] for machine in self.machines)

    def suffer(self, script: str = "fault = []") -> None:
        """From now on the machines have the faults of this script and no others."""
        self._faults.write_text(script)
        self.farm.send(signal.SIGHUP)

    async def start_backend(self) -> None:
        """Start the backend (again, on the same port) and wait until it is healthy."""
        if not self.backend_config.exists():
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self._port = probe.getsockname()[1]  # known before the start: messages carry links to it
            (self.folder / "sms.token").write_text("not-a-secret")
            registry_file.put(self.folder / "backend")
            self._write_backend_config()
        self.backend = Program(
            "backend", "serve", "--config", str(self.backend_config), log=self.folder / "backend.log"
        )
        await self.backend.start()

        async def healthy() -> bool | None:
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{self.backend_url}/healthz") as answer:
                    return answer.status == 200 or None
            except aiohttp.ClientError:
                return None

        await self.backend.until(healthy)

    def _write_backend_config(self) -> None:
        self.backend_config.write_text(
            f"""
data_dir = "{self.folder / "backend"}"
public_url = "{self.backend_url}"
region = "eu"
[listen]
host = "127.0.0.1"
port = {self._port}
[smtp]
host = "127.0.0.1"
port = {self.mail.port}
tls = "none"
sender = "warnings@itsminer.example"
[sms]
url = "http://127.0.0.1:{self.sms.port}"
account = "AC00000000000000000000000000000000"
token_file = "{self.folder / "sms.token"}"
sender = "+15005550006"
[contact]
name = "ItsMiner"
email = "contact@itsminer.example"
{self.rules}
"""
        )

    async def found_account(self) -> None:
        """An account with a verified member, a site and a read token, by the commands that people use."""
        config = ("--config", str(self.backend_config))
        self.account = (await call_json("backend", "account", "add", "Demo Mining", *config))["id"]
        await call(
            "backend", "member", "add", self.account, "--email", "night.shift@farm.example",
            "--phone", "+14155550123", "--role", "owner", "--verified", *config,
        )  # fmt: skip
        self.site = (await call_json("backend", "site", "add", self.account, "North hall", *config))["id"]
        self.token = (await call_json("backend", "token", "add", self.account, "--label", "page", *config))["token"]

    async def enrol(self) -> None:
        """Enrol the agent with a one-time code, through the wire tap where there is one."""
        code = await call_json("backend", "site", "code", self.account, self.site, "--config", str(self.backend_config))
        port = self.wire.port if self.wire else self._port
        self.agent_config.write_text(
            f"""
state_dir = "{self.folder / "agent"}"
[network]
ranges = ["{self.ranges}"]
[poll]
interval_s = {self.interval_s}
deadline_s = {self.deadline_s}
vendor_passwords = true
[spool]
flush_s = 1.0
"""
        )
        await call(
            "agent", "enroll", "--backend", f"http://127.0.0.1:{port}", code["code"], "--config", str(self.agent_config)
        )

    async def open_site_page(self) -> str:
        """Give the agent, before it starts, its page for the people at the site; the address, with the password."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with self.agent_config.open("a") as config:
            config.write(f"[lan]\nport = {port}\n")
        password = await call("agent", "lan-password", "--generate", "--config", str(self.agent_config))
        return f"http://demo:{password.strip()}@127.0.0.1:{port}/"

    async def start_agent(self) -> None:
        self.agent = Program("agent", "run", "--config", str(self.agent_config), log=self.folder / "agent.log")
        await self.agent.start()

    async def get(self, path: str, **query: str) -> Any:
        """A GET with the account's read token; JSON, or text for /metrics."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.token}"}) as session,
            session.get(self.backend_url + path, params=query) as answer,
        ):
            answer.raise_for_status()
            return await (answer.json() if "json" in answer.content_type else answer.text())

    async def metrics(self) -> Mapping[str, float]:
        """The backend's Prometheus samples without labels, by name (labelled ones summed)."""
        totals: dict[str, float] = {}
        for line in str(await self.get("/metrics")).splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                key = name.split("{")[0]
                totals[key] = totals.get(key, 0.0) + float(value)
        return totals

    async def stop(self) -> None:
        """End all programs: the agent first, so that what it holds still arrives."""
        for name in ("agent", "backend", "farm"):
            if (program := getattr(self, name, None)) is not None:
                await program.stop()

    def leaks(self) -> list[str]:
        """Identifiers of the farm in anything that either program stored or logged, and in what was sent."""
        places = [self.folder / "backend", self.folder / "backend.log", self.folder / "backend.out"]
        places += [self.folder / "agent.log", self.folder / "agent.out", self.folder / "agent"]
        sent = {f"mail {n}": data for n, data in enumerate(self.mail.raw)}
        sent |= {f"mail {n} decoded": _decoded(mail) for n, mail in enumerate(self.mail.mails)}
        sent |= {f"sms {n}": data for n, data in enumerate(self.sms.raw)}
        sent |= {f"sms {n} decoded": text.encode() for n, text in enumerate(self.sms.texts)}
        if self.wire is not None:
            sent["wire"] = bytes(self.wire.seen)
        return leaks(self.identifiers, [place for place in places if place.exists()], sent)


def _decoded(mail: Any) -> bytes:
    parts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*map(str, mail.values()), *parts]).encode()


@contextlib.asynccontextmanager
async def world(folder: Path, *, tapped: bool = True, **options: Any) -> AsyncIterator[World]:
    """A world with a running backend and an account; the caller starts farm and agent. Stops all it started."""
    async with contextlib.AsyncExitStack() as stack:
        made = World(
            folder,
            mail=await stack.enter_async_context(mailbox()),
            sms=await stack.enter_async_context(phone()),
            **options,
        )
        stack.push_async_callback(made.stop)
        await made.start_backend()
        await made.found_account()
        if tapped:
            made.wire = await stack.enter_async_context(tap(made._port))
        yield made
        await asyncio.shield(made.stop())
