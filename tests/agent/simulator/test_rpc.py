"""The cgminer interface on port 4028."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from agent.simulator.conversation import MAX_REQUEST_BYTES
from tests.agent.simulator.asking import exchange, rpc
from tests.conftest import Simulated


async def test_a_joined_command_answers_each_of_its_parts(simulated: Simulated) -> None:
    farm = await simulated("avalon")
    address = farm.machines[0].address
    joined = await rpc(address, "summary+devs+nonsense")
    assert joined["id"] == 1
    assert joined["summary"][0]["SUMMARY"][0]["Elapsed"] > 0
    assert joined["devs"][0]["DEVS"][0]["ASC"] == 0
    assert joined["nonsense"][0]["STATUS"][0]["Msg"] == "Invalid command"


async def test_an_antminer_does_not_know_joined_commands(simulated: Simulated) -> None:
    farm = await simulated("antminer")
    answer = await rpc(farm.machines[0].address, "summary+devs")
    assert answer["STATUS"][0]["Code"] == 14
    assert "summary" not in answer


@pytest.mark.parametrize(
    ("family", "error"),
    [
        ("whatsminer", {"STATUS": "E", "Code": 14, "Msg": "invalid cmd", "Description": "whatsminer v2.0.5"}),
        ("avalon", {"STATUS": "E", "Code": 14, "Msg": "Invalid command", "Description": "cgminer 4.11.1"}),
        ("antminer", {"STATUS": "E", "Code": 14, "Msg": "Invalid command", "Description": "cgminer 1.0.0"}),
    ],
)
async def test_an_unknown_command_gets_the_familys_own_error(
    simulated: Simulated, family: str, error: dict[str, object]
) -> None:
    farm = await simulated(family)
    answer = await rpc(farm.machines[0].address, "frobnicate")
    status = answer if family == "whatsminer" else answer["STATUS"][0]
    assert {name: status[name] for name in error} == error


@pytest.mark.parametrize(("family", "terminator"), [("avalon", b"\0"), ("antminer", b"\0"), ("whatsminer", b"}")])
async def test_an_answer_ends_as_the_firmware_ends_it(simulated: Simulated, family: str, terminator: bytes) -> None:
    farm = await simulated(family)
    answer = await exchange(farm.machines[0].address, 4028, b'{"command":"version"}')
    assert answer.endswith(terminator)


async def test_the_plain_text_form_puts_the_status_first_and_each_pool_in_a_section(simulated: Simulated) -> None:
    farm = await simulated("avalon", seed=1)
    answer = (await exchange(farm.machines[0].address, 4028, b"pools\n")).decode()
    status, first, *others = answer.rstrip("\0").split("|")
    assert status.startswith("STATUS=S,")
    assert first.startswith("POOL=0,URL=stratum+tcp://ss.antpool.com:3333,")
    assert [section.partition(",")[0] for section in others] == ["POOL=1", "POOL=2", ""]
    summary = await exchange(farm.machines[0].address, 4028, b"summary")
    assert b"|SUMMARY,Elapsed=" in summary


async def test_the_plain_text_form_escapes_its_own_separators(simulated: Simulated) -> None:
    farm = await simulated("whatsminer")
    answer = (await exchange(farm.machines[0].address, 4028, b"get_miner_info")).decode()
    assert answer.startswith("STATUS=S|")
    assert '{"ip": "' in answer.replace("\\", "")
    assert "\\," in answer


async def test_a_request_may_come_in_pieces(simulated: Simulated) -> None:
    farm = await simulated("avalon")
    reader, writer = await asyncio.open_connection(farm.machines[0].address, 4028)
    writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in (b'{"comm', b'and":"ver', b'sion"}'):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    answer = json.loads((await reader.read()).rstrip(b"\0"))
    writer.close()
    assert answer["VERSION"][0]["PROD"].startswith("AvalonMiner")


@pytest.mark.parametrize(("request_", "code"), [(b'{"command":', 23), (b'{"parameter":"0"}', 24)])
async def test_a_request_without_sense_gets_an_error(simulated: Simulated, request_: bytes, code: int) -> None:
    farm = await simulated("avalon")
    reader, writer = await asyncio.open_connection(farm.machines[0].address, 4028)
    writer.write(request_)
    writer.write_eof()
    answer = json.loads((await reader.read()).rstrip(b"\0"))
    writer.close()
    assert answer["STATUS"][0]["Code"] == code


async def test_a_request_that_never_ends_is_cut_off(simulated: Simulated) -> None:
    farm = await simulated("avalon")
    assert await exchange(farm.machines[0].address, 4028, b"{" * (MAX_REQUEST_BYTES + 1)) == b""
