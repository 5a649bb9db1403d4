"""Machines that move, claim each other's MAC or are swapped, over the whole agent and simulated machines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent import app, status
from agent.config import AgentSettings
from agent.enrolment import State, enroll
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from agent.uplink import Pacing
from agent.wire import Reading
from agent.wire import State as MachineState
from tests.agent.backend import Backend, serving
from tests.agent.until import until
from tests.conftest import Simulated
from tests.world.program import call


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


def now() -> datetime:
    return datetime.now(UTC)


class Site:
    """An agent that looks for vanished machines every half second, and whose clock can be set."""

    def __init__(self, folder: Path, backend: Backend, *farms: Farm) -> None:
        self.ahead = timedelta()
        addresses = [machine.address for farm in farms for machine in farm.machines]
        self.backend = backend
        self.settings = AgentSettings.model_validate(
            {
                "state_dir": folder / "state",
                "network": {"ranges": addresses},
                "poll": {"interval_s": 1, "deadline_s": 0.8, "vendor_passwords": True},
                "spool": {"flush_s": 0.1},
            }
        )
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Site:
        if not State(self.settings.state_dir).enrolment.exists():
            await enroll(State(self.settings.state_dir), self.backend.url, "CODE")
        quick = Pacing(base_s=0.05, cap_s=0.1, paused_s=0.2)
        self._stop.clear()
        self._task = asyncio.create_task(
            app.run(self.settings, lambda: now() + self.ahead, self._stop, pacing=quick, write_s=0.05, rest_s=0.5)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        async with asyncio.timeout(20):
            await self._task

    @property
    def status(self) -> status.Status:
        return status.read(State(self.settings.state_dir).status)

    @property
    def readings(self) -> list[Reading]:
        return [one for batch in self.backend.stored.values() for one in batch.readings]

    def machines(self, *, hashing: bool = True) -> set[str]:
        return {one.machine for one in self.readings if (one.state is MachineState.HASHING) is hashing}


async def test_a_machine_that_moved_is_looked_for_at_once_and_keeps_its_pseudonym(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    before, after = await simulated("avalon", seed=5), await simulated("avalon", seed=5)
    after.machines[0].faults.begin(Fault.UNREACHABLE)
    with capture_logs() as logs:
        async with Site(tmp_path, backend, before, after) as site:
            await until(site.machines)
            before.machines[0].faults.begin(Fault.UNREACHABLE)
            await until(lambda: site.machines(hashing=False))
            after.machines[0].faults.end(Fault.UNREACHABLE)
            backend.stored.clear()
            await until(site.machines)
            await until(lambda: (site.status.machines.known, site.status.machines.reachable) == (1, 1))
    assert len({one.machine for batch in backend.arrived for one in batch.readings}) == 1
    assert not [entry for entry in logs if entry["event"] == "machine.mac_claimed_twice"]


async def test_two_machines_that_claim_one_mac_are_both_kept_and_flagged_also_after_a_restart(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    first, second = await simulated("avalon", seed=5), await simulated("avalon", seed=5)
    site = Site(tmp_path, backend, first, second)
    with capture_logs() as logs:
        async with site:
            await until(lambda: len(site.machines()) == 2)
            await until(lambda: site.status.machines.sharing_mac == 1)
    both = site.machines()
    flagged = [entry for entry in logs if entry["event"] == "machine.mac_claimed_twice"]
    assert [{entry["machine"], entry["other"]} for entry in flagged] == [both]
    backend.stored.clear()
    async with site:
        await until(lambda: len(site.machines()) == 2)
    assert site.machines() == both
    # What is shown of them while no agent runs is what would be sent, in whichever order they are looked at.
    addresses = [machine.address for farm in (second, first) for machine in farm.machines]
    state = ("--state", str(site.settings.state_dir))
    shown = [json.loads(line) for line in (await call("agent", "preview", "--json", *addresses, *state)).splitlines()]
    assert {one["machine"] for one in shown} == both
    bundles = [await call("agent", "support-bundle", "--no-ssh", address, *state) for address in addresses]
    assert [one["machine"] in text for one, text in zip(shown, bundles, strict=True)] == [True, True]


async def test_another_machine_at_the_same_address_is_another_machine_and_flagged(
    tmp_path: Path, backend: Backend, simulated: Simulated
) -> None:
    farm = await simulated("avalon", seed=5)
    machine = farm.machines[0]
    other = (await simulated("avalon", seed=6)).machines[0]
    with capture_logs() as logs:
        async with Site(tmp_path, backend, farm) as site:
            await until(site.machines)
            before = site.machines()
            machine.faults.begin(Fault.UNREACHABLE)
            await until(lambda: site.machines(hashing=False))
            object.__setattr__(machine, "firmware", other.firmware)  # somebody swaps the machine in the rack
            backend.stored.clear()
            machine.faults.end(Fault.UNREACHABLE)
            await until(site.machines)
            after = site.machines()
    assert after
    assert not after & before
    replaced = [entry for entry in logs if entry["event"] == "machine.replaced"]
    assert [({entry["before"]}, {entry["machine"]}) for entry in replaced] == [(before, after)]


@pytest.mark.parametrize("jump", [timedelta(days=3), timedelta(days=-3)])
async def test_a_clock_that_is_set_stops_no_poll_and_loses_no_machine(
    tmp_path: Path, backend: Backend, simulated: Simulated, jump: timedelta
) -> None:
    farm = await simulated("avalon", "avalon")
    async with Site(tmp_path, backend, farm) as site:
        await until(lambda: len(site.machines()) == 2)
        began = now()
        for ahead in (jump, timedelta()):
            site.ahead = ahead
            backend.stored.clear()
            await until(lambda: len(site.machines()) == 2)
        assert all(abs(one.time - began) < timedelta(minutes=5) for one in site.readings[-2:])
        await until(lambda: site.status.spool.batches == 0)
        assert (site.status.machines.known, site.status.spool.dropped_batches) == (2, 0)
