"""P41: pausing the agent stops collection at once, and stays in effect over a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent import status
from tests.agent.backend import Backend, serving
from tests.agent.until import until
from tests.conftest import FarmProcess
from tests.world.program import Program, call


async def test_a_running_agent_rests_at_once_and_stays_at_rest_over_a_restart(
    tmp_path: Path, farm_process: FarmProcess
) -> None:
    _, machines = farm_process("--mix", "avalon:2", "--machines", "2", machines=2)
    path, log = tmp_path / "agent.toml", tmp_path / "log"
    path.write_text(
        f"state_dir = 'state'\n[network]\nranges = {[machine['address'] for machine in machines]}\n"
        "[poll]\ninterval_s = 1\ndeadline_s = 0.8\n[spool]\nflush_s = 0.1\n"
    )
    config = ("--config", str(path))
    async with serving(Backend()) as backend:
        await call("agent", "enroll", "--backend", backend.url, "CODE", *config)
        agent = Program("agent", "run", *config, log=log)
        await agent.start()
        try:
            await until(lambda: len({one.machine for kept in backend.stored.values() for one in kept.readings}) == 2)
            assert (await call("agent", "pause", *config)).startswith("Paused: no machine is asked")
            arrived = len(backend.arrived)  # the agent has said that it rests
            assert "nothing is asked or sent" in await call("agent", "status", *config)
            await asyncio.sleep(1.2)  # longer than an interval
            assert len(backend.arrived) == arrived
            assert await agent.stop() == 0
            await agent.start()
            await until(lambda: status.read(tmp_path / "state" / "status.json").pid == agent.pid)
            assert len(backend.arrived) == arrived
            assert await call("agent", "resume", *config) == "Resumed.\n"
            await until(lambda: len(backend.arrived) > arrived)
            assert "nothing is asked" not in await call("agent", "status", *config)
        finally:
            assert await agent.stop() == 0
