"""What is not asked twice, and what is found out all the same."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from agent.drivers.protocol import Miner
from agent.drivers.registry import engine
from agent.drivers.thrift import Channel
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from agent.simulator.machine import Firmware, Machine, Request, WebAnswer, WebRequest
from tests import loopback

REFUSAL = b'{"STATUS":[{"STATUS":"E","Msg":"Invalid command"}],"id":1}'


@dataclass
class Watched:
    """A firmware that counts what it is asked, and may answer a page otherwise."""

    firmware: Firmware
    asked: Counter[str] = field(default_factory=Counter)
    pages: dict[str, bytes] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return getattr(self.firmware, name)

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        self.asked[str(request.get("command"))] += 1
        return self.firmware.rpc(request, now)

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        name = request.path.rpartition("/")[2].removesuffix(".cgi")
        self.asked[f"page {name}"] += 1
        if name in self.pages:
            return WebAnswer(200, self.pages[name], {"Content-Type": "application/json"})
        return self.firmware.web(request, now)


@asynccontextmanager
async def watched(family: str, driver: str) -> AsyncIterator[tuple[Watched, Miner, Machine]]:
    (address,) = loopback.take()
    machine = family_machine(family, address, seed=1)
    firmware = Watched(machine.firmware)
    machine = replace(machine, firmware=firmware)  # type: ignore[arg-type]
    async with Farm([machine]).listening():
        miner = await engine(driver, vendor_passwords=True).find(address)
        assert miner is not None
        firmware.asked.clear()
        yield firmware, miner, machine


async def test_pyasic_does_not_ask_an_antminer_that_hashes_for_the_page_with_the_pools_passwords() -> None:
    async with watched("antminer", "pyasic") as (firmware, miner, _):
        live = await miner.read()
    assert live.is_meant_to_mine is True
    assert live.boards is not None
    assert len(live.boards) == 3
    assert [name for name in firmware.asked if name.startswith("page")] == ["page summary"]


async def test_asic_rs_asks_for_that_page_seldom_and_keeps_the_mode_that_it_tells() -> None:
    async with watched("antminer", "asic-rs") as (firmware, miner, _):
        modes = [(await miner.read()).power_mode for _ in range(4)]
    assert firmware.asked["page get_miner_conf"] == 1
    assert modes[0] is not None
    assert set(modes) == {modes[0]}


@pytest.mark.parametrize("driver", ["pyasic", "asic-rs"])
async def test_an_antminer_that_does_not_hash_is_asked_whether_it_was_paused(driver: str) -> None:
    async with watched("antminer", driver) as (firmware, miner, machine):
        machine.faults.begin(Fault.ZERO_HASHRATE)
        assert (await miner.read()).is_meant_to_mine is True
        firmware.pages["get_miner_conf"] = b'{"bitmain-work-mode":"1"}'
        assert (await miner.read()).is_meant_to_mine is False


async def test_pyasic_and_our_own_read_find_the_same_boards_of_an_antminer_as_its_page_tells() -> None:
    async with watched("antminer", "pyasic") as (_, miner, machine):
        live, truth = await miner.read(), machine.truth(Farm([machine]).clock())
    assert truth is not None
    assert truth.boards is not None
    assert live.boards is not None
    for board, true in zip(live.boards, truth.boards, strict=True):
        assert board.hashrate_ths == pytest.approx(true.hashrate_ths, rel=0.05)
        assert (board.chips_working, board.chips_expected) == (true.chips_working, true.chips_expected)


async def test_a_lost_board_of_an_antminer_is_a_board_that_says_nothing() -> None:
    async with watched("antminer", "pyasic") as (_, miner, machine):
        machine.faults.begin(Fault.BOARD_LOST, board=2)
        live = await miner.read()
    assert live.boards is not None
    assert [board.hashrate_ths is None for board in live.boards] == [False, False, True]
    assert live.boards[2].chips_expected


async def test_asic_rs_does_not_ask_again_for_faults_that_our_own_read_has() -> None:
    async with watched("whatsminer", "asic-rs") as (firmware, miner, _):
        await miner.read()
        firmware.asked.clear()
        live = await miner.read()
    assert live.fault_codes == ()
    assert firmware.asked["get_error_code"] == 1
    assert firmware.asked["status"] == 0, "it hashes, so it was not paused"


class FakePyasicChannel:
    """As much of pyasic's as `Channel` touches."""

    commands = ("summary", "pools")

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answer = REFUSAL

    def _check_commands(self, *commands: str) -> list[str]:
        raise AssertionError("replaced")

    async def _send_bytes(self, data: bytes, **options: object) -> bytes:
        self.asked.append(data)
        return self.answer


async def test_several_commands_at_once_are_not_asked_again_of_a_machine_that_refused_them() -> None:
    pyasic = FakePyasicChannel()
    channel = Channel(pyasic)

    answers = [await pyasic._send_bytes(b'{"command": "summary+pools"}') for _ in range(3)]
    await pyasic._send_bytes(b'{"command": "pools"}')
    channel.reconsider()
    await pyasic._send_bytes(b'{"command": "summary+pools"}')

    assert answers == [REFUSAL] * 3
    assert [b"+" in question for question in pyasic.asked] == [True, False, True]


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"nonsense", b"[]", b'{"summary":[{}]}', b'{"STATUS":[{"STATUS":"S"}]}']
)
async def test_only_a_refusal_is_remembered(answer: bytes) -> None:
    pyasic = FakePyasicChannel()
    pyasic.answer = answer
    Channel(pyasic)

    for _ in range(2):
        assert await pyasic._send_bytes(b'{"command": "summary+pools"}') == answer

    assert len(pyasic.asked) == 2


def test_pyasic_is_allowed_the_commands_that_it_knows() -> None:
    pyasic = FakePyasicChannel()
    Channel(pyasic)
    assert pyasic._check_commands("summary", "nonsense", "pools") == ["summary", "pools"]


def test_our_own_connections_trust_the_systems_authorities_after_the_library_was_shown_one() -> None:
    """In a process of its own: it is for the rest of a process and for all that it starts."""
    program = (
        "import ssl; from agent import transit; from agent.drivers import authorities, registry\n"
        "before = transit.tls(None).get_ca_certs(); authorities.show_one()\n"
        "assert transit.tls(None).get_ca_certs() == before\n"
        "assert not before or len(ssl.create_default_context().get_ca_certs()) == 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
