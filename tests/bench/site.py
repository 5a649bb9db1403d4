"""A whole site for benchmarks: simulated machines in one process, the agent in another, and a backend that only
acknowledges, in this one. It keeps of each reading what the figures are made of."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import zstandard
from aiohttp import web

from tests.bench.simulated import simulated
from tests.world.program import Program, call


@dataclass
class Sink:
    """What arrived: grid time → machine → how long it took to read, None when it did not answer."""

    rounds: dict[str, dict[str, float | None]] = field(default_factory=lambda: defaultdict(dict))
    sent_bytes: int = 0
    readings: int = 0

    async def batches(self, request: web.Request) -> web.Response:
        body = await request.read()
        readings = json.loads(zstandard.ZstdDecompressor().decompress(body))["readings"]
        for reading in readings:
            answered = reading["state"] != "unreachable"
            self.rounds[reading["time"]][reading["machine"]] = reading.get("read_ms") if answered else None
        self.sent_bytes += len(body)
        self.readings += len(readings)
        return web.json_response({"stored": True, "readings": len(readings)})

    async def enroll(self, request: web.Request) -> web.Response:
        granted = {"account": "acc_bench", "site": "sit_bench", "site_name": "Bench"}
        return web.json_response(granted | {"token": "tok_0123456789abcdef", "contract": 1}, status=201)


@dataclass(frozen=True)
class Sample:
    """The agent's process at one moment."""

    at_s: float  # since the first sample
    rss_mb: float
    descriptors: int
    cpu_s: float  # since its start


@dataclass
class Site:
    """A running site."""

    sink: Sink
    agent: Program
    folder: Path
    addresses: Sequence[str]  # of its machines
    samples: list[Sample] = field(default_factory=list)

    async def watch(self, is_over: Callable[[], bool], every_s: float = 1.0) -> None:
        """Sample the agent until `is_over`, or until it is gone."""
        process = psutil.Process(self.agent.pid)
        began_s = time.monotonic()
        while not is_over() and self.agent.running:
            cpu = process.cpu_times()
            self.samples.append(
                Sample(
                    at_s=time.monotonic() - began_s,
                    rss_mb=process.memory_info().rss / 1e6,
                    descriptors=process.num_fds(),
                    cpu_s=cpu.user + cpu.system,
                )
            )
            await asyncio.sleep(every_s)

    def status(self) -> dict[str, Any]:
        """What the agent says of itself."""
        status: dict[str, Any] = json.loads((self.folder / "state" / "status.json").read_bytes())
        return status


@asynccontextmanager
async def site(machines: int, interval_s: float, *, base: str, faults: str = "", more: str = "") -> AsyncIterator[Site]:
    """An enrolled agent that asks so many machines. `faults` is a fault script, `more` are further poll settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "faults.toml").write_text(faults or "fault = []\n")
        options = ("--machines", str(machines), "--base", base, "--shared-ports", "--faults", folder / "faults.toml")
        sink = Sink()
        async with _serving(sink) as url:
            with simulated(*map(str, options)) as farm:
                addresses = list(farm.families)
                (folder / "agent.toml").write_text(
                    f'state_dir = "{folder / "state"}"\n'
                    f'[network]\nranges = ["{addresses[0]}-{addresses[-1]}"]\nconnections_per_s = 1000\n'
                    f"[poll]\ninterval_s = {interval_s}\nvendor_passwords = true\n{more}\n"
                )
                config = ("--config", str(folder / "agent.toml"))
                await call("agent", "enroll", "--backend", url, "CODE", *config)
                agent = Program("agent", "run", *config, log=folder / "agent.log")
                await agent.start()
                try:
                    yield Site(sink, agent, folder, addresses)
                finally:
                    await agent.stop()


@asynccontextmanager
async def _serving(sink: Sink) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/batches", sink.batches)
    app.router.add_post("/v1/enroll", sink.enroll)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
