"""Whatsminer's version 3 interface on port 4433."""

from __future__ import annotations

import json
import struct

import pytest

from agent.simulator.faults import Fault
from tests.agent.simulator.asking import exchange, v3
from tests.conftest import Simulated


async def test_joined_parameters_merge_into_one_answer(simulated: Simulated) -> None:
    farm = await simulated("whatsminer-v3")
    (answer,) = await v3(farm.machines[0].address, {"cmd": "get.miner.status", "param": "summary+pools+edevs"})
    assert answer["code"] == 0
    assert set(answer["msg"]) == {"summary", "pools", "edevs"}
    assert len(answer["msg"]["edevs"]) == 3


async def test_many_requests_share_a_connection(simulated: Simulated) -> None:
    farm = await simulated("whatsminer-v3")
    info, status = await v3(
        farm.machines[0].address,
        {"cmd": "get.device.info", "param": None},
        {"cmd": "get.miner.status", "param": "summary"},
    )
    assert info["msg"]["network"]["ip"] == farm.machines[0].address
    assert status["msg"]["summary"]["hash-realtime"] > 0


@pytest.mark.parametrize(
    "request_",
    [
        {"cmd": "get.nothing"},
        {"cmd": "get.miner.status", "param": "nothing"},
        {"cmd": "get.miner.status", "param": "summary+nothing"},
        {"param": "summary"},
    ],
)
async def test_what_is_not_known_is_an_error(simulated: Simulated, request_: dict[str, str]) -> None:
    farm = await simulated("whatsminer-v3")
    (answer,) = await v3(farm.machines[0].address, request_)
    assert answer["code"] != 0
    assert isinstance(answer["msg"], str)


async def test_a_length_that_lies_is_an_error_and_no_wait(simulated: Simulated) -> None:
    farm = await simulated("whatsminer-v3")
    machine = farm.machines[0]
    machine.faults.begin(Fault.HALF_ANSWER)  # it closes, so that the whole answer can be read
    half = await exchange(machine.address, 4433, struct.pack("<I", 2**31) + b"{}")
    machine.faults.end()
    assert len(half) > 4
    (sound,) = await v3(machine.address, {"cmd": "get.device.info", "param": "salt"})
    assert list(sound["msg"]) == ["salt"]


async def test_the_old_interface_says_only_who_it_is(simulated: Simulated) -> None:
    farm = await simulated("whatsminer-v3")
    address = farm.machines[0].address
    version = json.loads(await exchange(address, 4028, b'{"cmd":"get_version"}'))
    assert version["Msg"]["fw_ver"].startswith("2025")
    assert json.loads(await exchange(address, 4028, b'{"cmd":"summary"}'))["STATUS"] == "E"
