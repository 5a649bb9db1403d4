"""`auto`: asic-rs where it can, pyasic elsewhere, and each machine stays with the driver that found it."""

from __future__ import annotations

import asyncio

import pytest

from agent.drivers.auto import Auto
from agent.drivers.protocol import Miner
from agent.drivers.registry import engine
from agent.errors import MinerUnreachable
from agent.reading import Facts, Live
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.rpc import RpcConversation
from tests import loopback
from tests.agent.drivers.doors import doors, hang


class Found:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    async def read(self) -> Live:
        return Live(hashrate_ths=1.0)

    async def refresh(self) -> Facts:
        return self.facts


class Scripted:
    """A driver that finds what it is told to."""

    def __init__(self, name: str, *, mac: str | None = "02:00:00:00:00:01", error: Exception | None = None) -> None:
        self.name = name
        self.mac = mac
        self.finds = True
        self.error = error
        self.asked = 0

    async def find(self, address: str) -> Miner | None:
        self.asked += 1
        if self.error:
            raise self.error
        return Found(Facts(address=address, driver=f"{self.name} 1.0", mac=self.mac)) if self.finds else None


async def found_by(driver: Auto, address: str = "192.0.2.1") -> str | None:
    miner = await driver.find(address)
    return miner.facts.driver if miner else None


async def test_the_first_driver_that_finds_a_machine_has_it() -> None:
    first, second = Scripted("asic-rs"), Scripted("pyasic")

    assert await found_by(Auto(first, second)) == "asic-rs 1.0"
    assert second.asked == 0


@pytest.mark.parametrize("error", [MinerUnreachable("no"), TimeoutError()])
async def test_a_driver_that_fails_is_no_reason_not_to_try_the_next(error: Exception) -> None:
    assert await found_by(Auto(Scripted("asic-rs", error=error), Scripted("pyasic"))) == "pyasic 1.0"


async def test_a_machine_is_found_again_by_the_driver_that_found_it_before() -> None:
    first, second = Scripted("asic-rs"), Scripted("pyasic")
    auto = Auto(first, second)
    first.finds = False
    assert await found_by(auto) == "pyasic 1.0"
    first.finds = True

    assert await found_by(auto) == "pyasic 1.0"


async def test_after_a_restart_the_driver_of_before_goes_first() -> None:
    auto = Auto(Scripted("asic-rs"), Scripted("pyasic"))
    auto.remember("192.0.2.1", "pyasic 0.79.0")
    auto.remember("192.0.2.2", "pyasic-rs 0.8.6")
    auto.remember("192.0.2.3", "carrier pigeon 1")

    assert await found_by(auto, "192.0.2.1") == "pyasic 1.0"
    assert await found_by(auto, "192.0.2.2") == "asic-rs 1.0"
    assert await found_by(auto, "192.0.2.3") == "asic-rs 1.0"


async def test_a_machine_in_a_bad_hour_is_not_taken_for_another_one() -> None:
    """Without its MAC it would go by its address: another pseudonym, and a machine that went silent."""
    first, second = Scripted("asic-rs"), Scripted("pyasic", mac=None)
    auto = Auto(first, second)
    assert await found_by(auto) == "asic-rs 1.0"
    first.finds = False
    assert await found_by(auto) is None

    second.mac = "02:00:00:00:00:02"
    assert await found_by(auto) == "pyasic 1.0", "this is another machine"


async def test_an_antminer_whose_web_page_hangs_is_found_and_read_by_its_other_port() -> None:
    (address,) = loopback.take()
    farm = Farm([family_machine("antminer", address, seed=0)])
    if farm.left_out:
        pytest.skip("cannot simulate it here")
    listener = await asyncio.get_running_loop().create_server(lambda: RpcConversation(farm), address, 4028)
    try:
        async with doors(address, port80=hang):
            async with asyncio.timeout(20):
                miner = await engine(vendor_passwords=True).find(address)
            assert miner is not None
            assert miner.facts.driver.startswith("pyasic ")
            async with asyncio.timeout(10):
                live = await miner.read()
            assert live.hashrate_ths
            assert live.fans_rpm is not None
            assert live.boards is not None
            async with asyncio.timeout(3):
                assert (await miner.read()).hashrate_ths, "the page is left alone for a while"
    finally:
        listener.close()
