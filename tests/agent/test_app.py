"""The agent as a whole: simulated machines on loopback, a real backend's door, its own files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent import app, intake, status
from agent.config import AgentSettings
from agent.enrolment import State, enroll
from agent.errors import MinerUnreachable, Misconfigured
from agent.keyring import Keyring
from agent.known import remembered
from agent.pseudonym import pseudonymize
from agent.reading import Facts, Live, RawPool, RawReading
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from agent.uplink import Pacing
from agent.wire import Reading, encode
from agent.wire import State as MachineState
from tests.agent.backend import Backend, says, serving
from tests.agent.until import until
from tests.conftest import Simulated
from tests.world.leaks import Searcher

FAST = {"poll": {"interval_s": 1, "deadline_s": 0.8, "vendor_passwords": True}, "spool": {"flush_s": 0.1}}


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


def settings(folder: Path, farm: Farm, **changes: Any) -> AgentSettings:
    addresses = [machine.address for machine in farm.machines]
    return AgentSettings.model_validate(
        {"state_dir": folder / "state", "network": {"ranges": addresses}, **FAST, **changes}
    )


def now() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def running(chosen: AgentSettings, clock: Callable[[], datetime] = now) -> AsyncIterator[asyncio.Event]:
    """An agent; it is stopped, and has finished, when the block ends."""
    stop = asyncio.Event()
    quick = Pacing(base_s=0.05, cap_s=0.1, paused_s=0.2)
    task = asyncio.create_task(app.run(chosen, clock, stop, pacing=quick, write_s=0.05))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


def readings(backend: Backend) -> list[Reading]:
    return [reading for batch in backend.stored.values() for reading in batch.readings]


async def test_what_machines_say_arrives_and_nothing_that_names_them(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon", "avalon", "whatsminer")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    with capture_logs() as logs:
        async with running(chosen):
            await until(lambda: len({one.machine for one in readings(backend)}) == 3 and len(readings(backend)) >= 9)
    assert all(one.hashrate_ths and one.state is MachineState.HASHING for one in readings(backend))
    assert {one.make for one in readings(backend)} == {"Avalon", "Whatsminer"}
    assert len({(one.machine, one.time) for one in readings(backend)}) == len(readings(backend))
    assert all(one.time.microsecond == 0 for one in readings(backend))
    searcher = Searcher({word for machine in farm.machines for word in machine.identifiers})
    sent = b"\n".join(encode(batch) for batch in backend.arrived)
    assert list(searcher.search(sent)) == []
    assert list(searcher.search(json.dumps(logs, default=str).encode())) == []
    assert [entry["event"] for entry in logs if entry["event"].startswith("agent")] == [
        "agent.started",
        "agent.stopped",
    ]


async def test_the_status_says_how_it_goes(tmp_path: Path, backend: Backend, simulated: Simulated) -> None:
    farm = await simulated("avalon", "avalon")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    file = State(chosen.state_dir).status
    async with running(chosen):
        await until(lambda: len({one.machine for one in readings(backend)}) == 2)
        await until(lambda: file.exists() and status.read(file).uplink.acknowledged_readings >= 2)
    found = status.read(file)
    assert (found.machines.known, found.machines.reachable) == (2, 2)
    assert found.uplink.acknowledged_readings == len(readings(backend))
    assert (found.uplink.state, found.spool.batches, found.spool.trouble) == ("idle", 0, "")
    assert found.machines.last_round_at
    assert found.life(now()) == "running"  # this very process wrote it
    assert found.life(now() + timedelta(minutes=5)) == "not responding"
    assert found.model_copy(update={"pid": 2**22 + 1}).life(now()) == "stopped"


async def test_stopping_sends_what_was_read_and_takes_no_time(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon")
    chosen = settings(tmp_path, farm, spool={"flush_s": 500})
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    async with running(chosen):
        await until(lambda: (chosen.state_dir / "vault.sealed").exists())  # a reading came in
        assert backend.arrived == []
        began = asyncio.get_running_loop().time()
    assert readings(backend)
    assert asyncio.get_running_loop().time() - began < 5


async def test_an_outage_of_the_backend_loses_nothing_and_doubles_nothing(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    backend.answers = [says(503), "store and die", says(200, "<html>", "text/html"), "store and die"]
    async with running(chosen):
        await until(lambda: not backend.answers and len(readings(backend)) >= 4)
    assert not list((chosen.state_dir / "spool").glob("*.batch"))
    moments = [one.time for one in readings(backend)]
    assert len(set(moments)) == len(moments)
    span = (max(moments) - min(moments)).total_seconds()
    assert len(moments) == span + 1, "a reading of a second is missing"


async def test_a_backend_that_is_away_when_the_agent_stops_gets_all_after_the_next_start(
    tmp_path: Path, simulated: Simulated
) -> None:
    farm = await simulated("avalon")
    chosen = settings(tmp_path, farm)
    away = Backend()
    async with serving(away):
        await enroll(State(chosen.state_dir), away.url, "CODE")
    port = int(away.url.rpartition(":")[2])
    async with running(chosen):
        await until(lambda: list((chosen.state_dir / "spool").glob("*.batch")))
    waiting = len(list((chosen.state_dir / "spool").glob("*.batch")))
    assert status.read(State(chosen.state_dir).status).spool.batches == waiting
    async with serving(away, port=port), running(chosen):
        await until(lambda: len(away.stored) >= waiting)


async def test_a_machine_that_is_down_when_the_agent_starts_is_known_to_be_down(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon", "avalon")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    async with running(chosen):
        await until(lambda: len({one.machine for one in readings(backend)}) == 2)
    before = {one.machine for one in readings(backend)}
    down = farm.machines[0]
    down.faults.begin(Fault.UNREACHABLE)
    backend.stored.clear()
    with capture_logs() as logs:
        async with running(chosen):
            await until(lambda: len({one.machine for one in readings(backend)}) == 2)
            await until(lambda: any(one.state is MachineState.UNREACHABLE for one in readings(backend)))
            down.faults.end(Fault.UNREACHABLE)
            backend.stored.clear()
            await until(lambda: len({one.machine for one in readings(backend) if one.hashrate_ths}) == 2)
    assert {one.machine for one in readings(backend)} == before
    assert next(entry for entry in logs if entry["event"] == "agent.started")["remembered"] == 2


async def test_a_fault_of_ours_with_one_machine_does_not_silence_the_others(
    tmp_path: Path, backend: Backend, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = await simulated("avalon", "avalon")
    bad = farm.machines[0].address
    real = pseudonymize

    def faulty(raw: RawReading, *rest: Any) -> Reading:
        if raw.facts.address == bad:
            raise ZeroDivisionError(bad)
        return real(raw, *rest)

    monkeypatch.setattr(intake, "pseudonymize", faulty)
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    with capture_logs() as logs:
        async with running(chosen):
            await until(lambda: len(readings(backend)) >= 2)
            await until(lambda: any(entry["event"] == "reading.lost" for entry in logs))
    assert len({one.machine for one in readings(backend)}) == 1


class Careless:
    """A machine whose firmware's name holds its worker, and which answers when it is told to."""

    facts = Facts(
        address="127.254.254.253", driver="test 1", mac="02:00:5e:00:00:07", model="S19", firmware="v2-hall3x42"
    )

    def __init__(self) -> None:
        self.answers = True

    async def read(self) -> Live:
        if not self.answers:
            raise MinerUnreachable("told not to answer")
        return Live(hashrate_ths=100.0, uptime_s=5.0, pools=(RawPool(url="ocean.xyz", user="acme.hall3x42"),))

    async def refresh(self) -> Facts:
        return self.facts


async def test_a_worker_in_a_firmwares_name_does_not_leave_when_the_machine_is_down_or_the_agent_new(
    tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Careless()

    class Finds:
        name = "test"

        async def find(self, address: str) -> Careless | None:
            return machine if machine.answers else None

    async def speaks(address: str, limit_s: float) -> bool:
        return True

    async def is_anything(*_: Any) -> bool:
        return True

    monkeypatch.setattr(app, "engine", lambda *_, **__: Finds())
    monkeypatch.setattr("agent.poll.speaks", speaks)
    monkeypatch.setattr("agent.discover._is_anything", is_anything)
    chosen = AgentSettings.model_validate(
        {"state_dir": tmp_path / "state", "network": {"ranges": [machine.facts.address]}, **FAST}
    )
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    async with running(chosen):
        await until(lambda: readings(backend))
        machine.answers = False
        await until(lambda: readings(backend)[-1].state is MachineState.UNREACHABLE)
    async with running(chosen):
        before = len(readings(backend))
        await until(lambda: len(readings(backend)) > before)
    assert {one.model for one in readings(backend)} == {"S19"}
    assert {one.firmware for one in readings(backend)} == {None}


async def test_files_that_cannot_be_written_are_told_once_and_stop_nothing(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    in_the_way = chosen.state_dir / "status.json"
    in_the_way.mkdir()
    with capture_logs() as logs:
        async with running(chosen):
            await until(lambda: len(readings(backend)) >= 2)
            in_the_way.rmdir()
            await until(in_the_way.is_file)
            await until(lambda: any(entry["event"] == "files.recovered" for entry in logs))
    events = [entry["event"] for entry in logs if entry["event"].startswith("files")]
    assert events == ["files.trouble", "files.recovered"]


async def test_machines_are_written_down_as_soon_as_a_scan_has_found_them(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon", "avalon")
    chosen = settings(tmp_path, farm, poll={"interval_s": 3_600, "vendor_passwords": True})  # nothing else is done
    state = State(chosen.state_dir)
    await enroll(state, backend.url, "CODE")
    async with running(chosen):
        await until(
            lambda: len(remembered(state.machines, Keyring.load(state.key))) == 2
        )  # while it runs: a kill is fine
        found = {facts.address for facts in remembered(state.machines, Keyring.load(state.key))}
    assert found == {machine.address for machine in farm.machines}


async def test_a_site_without_machines_is_told(tmp_path: Path, backend: Backend, simulated: Simulated) -> None:
    chosen = settings(tmp_path, await simulated(), network={"ranges": ["127.254.254.254"]})
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    with capture_logs() as logs:
        async with running(chosen):
            await until(lambda: any(entry["event"] == "scan.found_nothing" for entry in logs))


async def test_machines_that_are_long_gone_are_forgotten_and_a_clock_that_is_set_makes_none_gone(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon", "avalon")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    later = timedelta(0)
    async with running(chosen, lambda: now() + later):
        await until(lambda: len({one.machine for one in readings(backend)}) == 2)
        later = timedelta(days=8)
        await until(
            lambda: len({one.machine for one in readings(backend) if one.time > now() + timedelta(days=7)}) == 2
        )
        assert status.read(State(chosen.state_dir).status).machines.known == 2
        farm.machines[0].faults.begin(Fault.UNREACHABLE)
        await until(lambda: any(one.state is MachineState.UNREACHABLE for one in readings(backend)))
        assert status.read(State(chosen.state_dir).status).machines.known == 2
        later = timedelta(days=16)
        await until(lambda: status.read(State(chosen.state_dir).status).machines.known == 1)


async def test_a_second_agent_with_the_same_state_is_refused(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon")
    chosen = settings(tmp_path, farm)
    await enroll(State(chosen.state_dir), backend.url, "CODE")
    async with running(chosen):
        await until(lambda: (chosen.state_dir / "spool" / "lock").exists())
        with pytest.raises(Misconfigured, match="another itsminer-agent"):
            await app.run(chosen, now, asyncio.Event())


async def test_the_settings_may_name_another_way_to_the_same_backend(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon")
    async with serving(Backend()) as first:
        chosen = settings(tmp_path, farm, backend={"url": backend.url})
        await enroll(State(chosen.state_dir), first.url, "CODE")
        async with running(chosen):
            await until(lambda: readings(backend))
        assert first.arrived == []
    assert re.match("http://127", status.read(State(chosen.state_dir).status).backend)
