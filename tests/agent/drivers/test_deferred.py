"""A driver that is made when it is first needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

from agent.drivers.deferred import Deferred
from agent.drivers.protocol import Driver, Miner


class Nobody:
    """A driver that finds nothing."""

    name = "nobody"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(self, address: str) -> Miner | None:
        self.asked.append(address)
        return None


async def test_it_is_made_once_in_a_thread_and_asked_each_time() -> None:
    made: list[threading.Thread] = []
    driver = Nobody()

    def make() -> Driver:
        made.append(threading.current_thread())
        return driver

    deferred = Deferred("nobody", make)
    assert made == []
    await asyncio.gather(*(deferred.find(address) for address in ("127.0.0.8", "127.0.0.9")))

    assert driver.asked == ["127.0.0.8", "127.0.0.9"]
    assert len(made) == 1
    assert made[0] is not threading.main_thread()


def test_a_site_whose_machines_asic_rs_knows_never_loads_pyasic() -> None:
    program = "import sys; from agent import app; from agent.drivers.registry import engine; engine()\n"
    subprocess.run([sys.executable, "-c", program + "assert 'pyasic' not in sys.modules"], check=True)
