"""pyasic fails a whole poll when one field fails: it is asked again without that field, which then rests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from agent.drivers.pyasic_driver import PyasicMiner
from agent.drivers.registry import engine
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.machine import Firmware, Request
from tests import loopback


@dataclass
class Odd:
    """A Whatsminer whose answer to one command has another shape than pyasic expects."""

    firmware: Firmware
    command: str | None = None
    answer: bytes = b""
    asked: int = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.firmware, name)

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        if request.get("command") == self.command:
            self.asked += 1
            return self.answer
        return self.firmware.rpc(request, now)


@pytest.fixture
async def odd() -> AsyncIterator[tuple[Odd, PyasicMiner]]:
    (address,) = loopback.take()
    machine = family_machine("whatsminer", address, seed=1)
    firmware = Odd(machine.firmware)
    async with Farm([replace(machine, firmware=firmware)]).listening():  # type: ignore[arg-type]
        miner = await engine("pyasic").find(address)
        assert isinstance(miner, PyasicMiner)
        yield firmware, miner


BROKEN_POOLS = b'{"STATUS":[{"STATUS":"S","When":1}],"POOLS":[{"URL":"nonsense://:x","User":5,"Status":1}]}'


async def test_one_field_that_fails_costs_no_other(odd: tuple[Odd, PyasicMiner]) -> None:
    firmware, miner = odd
    firmware.command, firmware.answer = "pools", BROKEN_POOLS

    live = await miner.read()

    assert live.pools is None
    assert live.hashrate_ths
    assert live.uptime_s
    assert live.fans_rpm is not None
    assert len(live.fans_rpm) == 2
    assert live.boards is not None


async def test_a_field_that_fails_is_left_out_and_then_asked_again(odd: tuple[Odd, PyasicMiner]) -> None:
    firmware, miner = odd
    firmware.command, firmware.answer = "pools", BROKEN_POOLS
    await miner.read()
    firmware.command = None

    pools = [(await miner.read()).pools for _ in range(4)]

    assert [found is None for found in pools] == [True, True, False, False]


async def test_a_refresh_of_the_facts_asks_for_every_field_again(odd: tuple[Odd, PyasicMiner]) -> None:
    firmware, miner = odd
    firmware.command, firmware.answer = "pools", BROKEN_POOLS
    await miner.read()
    firmware.command = None

    await miner.refresh()

    assert (await miner.read()).pools is not None


async def test_a_refresh_keeps_what_the_machine_does_not_tell_this_time(odd: tuple[Odd, PyasicMiner]) -> None:
    firmware, miner = odd
    before = miner.facts
    assert before.mac is not None
    firmware.command, firmware.answer = "get_miner_info", b'{"STATUS":"S","Msg":{}}'

    after = await miner.refresh()

    assert (after.mac, after.serial) == (before.mac, before.serial)
