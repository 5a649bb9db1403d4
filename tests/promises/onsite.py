"""A farm's own side in this process: simulated machines, and an agent that sends to the service through a tap."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent import app
from agent.config import AgentSettings
from agent.enrolment import State, enroll
from agent.simulator.farm import Farm
from agent.simulator.machine import Machine
from agent.uplink import Pacing
from backend.registry import enrolment
from tests.promises.deployed import Customer, Service
from tests.world.leaks import unpacked
from tests.world.tap import Tap, tap

_QUICK = Pacing(base_s=0.05, cap_s=0.2, paused_s=0.3)


@dataclass
class Site:
    """An enrolled site; `running` runs its agent."""

    service: Service
    customer: Customer
    settings: AgentSettings
    wire: Tap

    @property
    def state(self) -> State:
        return State(self.settings.state_dir)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """Each batch that went over the wire, as often as it did."""
        found = [json.loads(text) for text in unpacked(bytes(self.wire.seen)) if text.startswith(b'{"id":"')]
        return [batch for batch in found if "readings" in batch]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(app.run(self.settings, lambda: datetime.now(UTC), stop, pacing=_QUICK, write_s=0.1))
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(20):
                await task

    async def stored(self) -> list[dict[str, Any]]:
        """The service's machines with their newest readings."""
        listed: list[dict[str, Any]] = (await self.service.seen("/v1/machines", self.customer.read))["machines"]
        return listed


@contextlib.asynccontextmanager
async def site(folder: Path, service: Service, customer: Customer, machines: Iterable[Machine]) -> AsyncIterator[Site]:
    """A site with these machines, enrolled by a code; everything is stopped at the end."""
    farm = Farm(machines)
    async with farm.listening(), tap(service.port) as wire:
        settings = AgentSettings.model_validate(
            {
                "state_dir": folder / "agent",
                "network": {"ranges": [machine.address for machine in farm.machines]},
                "poll": {"interval_s": 1, "deadline_s": 0.8, "vendor_passwords": True},
                "spool": {"flush_s": 0.1},
            }
        )
        async with service.database.begin() as session:
            code = await enrolment.issue(session, customer.account, customer.site, now=service.now())
        await enroll(State(settings.state_dir), f"http://127.0.0.1:{wire.port}", code)
        yield Site(service, customer, settings, wire)
