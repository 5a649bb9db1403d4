"""Every way to break a machine, as it shows in the numbers and on the wire."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.reading import Live
from agent.simulator.delivery import DEEP_LEVELS, HUGE_BYTES
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.faults import MEANING, Fault
from agent.simulator.machine import Machine
from tests.agent.simulator.asking import DEADLINE_S, exchange, http, rpc, until, v3
from tests.conftest import Simulated

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
VERSION = b'{"command":"version"}'


def machine_of(family: str) -> Machine:
    """A machine that has been running for three hours at START."""
    return family_machine(family, "127.77.0.1", 4, clock=lambda: START, started=START - timedelta(hours=3))


def truth(machine: Machine, after_s: float = 0) -> Live:
    """What it does so many seconds after START."""
    live = machine.truth(START + timedelta(seconds=after_s))
    assert live is not None
    return live


def hottest(live: Live) -> float:
    return max((board.chip_temp_c or 0 for board in live.boards or ()), default=0)


def test_every_fault_is_explained() -> None:
    assert set(MEANING) == set(Fault)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_overheating_machine_is_hot_within_seconds_and_cools_down_after(family: str) -> None:
    machine = machine_of(family)
    sound = truth(machine)
    machine.faults.begin(Fault.OVERHEATING, until=START + timedelta(seconds=20))
    assert hottest(sound) < 85
    assert hottest(truth(machine, 4)) > 100
    assert hottest(truth(machine, 19)) > 112
    assert max(truth(machine, 19).fans_rpm or ()) > 1.1 * max(sound.fans_rpm or ())
    assert hottest(truth(machine, 23)) > hottest(sound) + 4
    assert hottest(truth(machine, 40)) == pytest.approx(hottest(sound), abs=5)


@pytest.mark.parametrize("family", ["whatsminer", "whatsminer-v3", "avalon", "antminer"])
def test_a_lost_board_takes_its_hashes_and_its_power(family: str) -> None:
    machine = machine_of(family)
    sound = truth(machine)
    machine.faults.begin(Fault.BOARD_LOST, board=1)
    broken = truth(machine)
    assert [board.index for board in broken.boards or ()] == [0, 2]
    assert (broken.hashrate_ths or 0) / (sound.hashrate_ths or 1) == pytest.approx(2 / 3, abs=0.03)
    machine.faults.end()
    machine.faults.begin(Fault.BOARD_LOST)
    assert [board.index for board in truth(machine).boards or ()] == [0, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stopped_fan_turns_no_more_and_the_chips_get_warmer(family: str) -> None:
    machine = machine_of(family)
    sound = truth(machine)
    last = len(sound.fans_rpm or ()) - 1
    machine.faults.begin(Fault.FAN_STOPPED, fan=last)
    broken = truth(machine)
    assert (broken.fans_rpm or ())[last] == 0
    assert all(rpm > 0 for rpm in (broken.fans_rpm or ())[:last])
    assert hottest(broken) > hottest(sound) + 4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_machine_without_hashrate_finds_no_shares_and_draws_little(family: str) -> None:
    machine = machine_of(family)
    sound = truth(machine)
    machine.faults.begin(Fault.ZERO_HASHRATE)
    broken = truth(machine, 600)
    assert broken.hashrate_ths == 0
    assert broken.is_meant_to_mine
    assert broken.shares_accepted == sound.shares_accepted
    if sound.last_share_age_s is not None and broken.last_share_age_s is not None:
        assert broken.last_share_age_s >= sound.last_share_age_s + 590
    if broken.power_w is not None:
        assert broken.power_w < 0.05 * (sound.power_w or 0)
    assert hottest(broken) < hottest(sound) - 15


@pytest.mark.parametrize("family", FAMILIES)
def test_a_changed_pool_is_a_strangers(family: str) -> None:
    machine = machine_of(family)
    own = (truth(machine).pools or ())[0]
    machine.faults.begin(Fault.POOL_CHANGED)
    stranger = (truth(machine).pools or ())[0]
    assert stranger.url is not None
    assert "thief.example" in stranger.url
    assert stranger.user != own.user
    assert stranger.user in machine.identifiers
    machine.faults.end(Fault.POOL_CHANGED)
    assert (truth(machine).pools or ())[0] == own


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reboot_loop_starts_the_uptime_again_and_again(family: str) -> None:
    machine = machine_of(family)
    machine.faults.begin(Fault.REBOOT_LOOP, until=START + timedelta(seconds=50))
    off = [machine.faults.is_off(START + timedelta(seconds=second)) for second in range(60)]
    assert [second for second, is_off in enumerate(off) if is_off] == [*range(5), *range(20, 25), *range(40, 45)]
    assert [truth(machine, second).uptime_s for second in (6, 19, 26, 49, 60)] == [1, 14, 1, 4, 15]
    assert (truth(machine, 6).hashrate_ths or 0) < 0.2 * (truth(machine, -1).hashrate_ths or 0)
    assert truth(machine, 19).shares_accepted in (None, 0, 1)


def test_a_fault_that_has_not_begun_can_be_called_off() -> None:
    machine = machine_of("avalon")
    later = START + timedelta(seconds=30)
    machine.faults.begin(Fault.ZERO_HASHRATE, since=later)
    assert machine.faults.active(Fault.ZERO_HASHRATE, later)
    machine.faults.end()
    assert not machine.faults.active(Fault.ZERO_HASHRATE, later)
    assert not machine.faults


@pytest.mark.parametrize(
    ("fault", "field", "code"), [("fan_stopped", "fan", 111), ("overheating", None, 350), ("board_lost", "board", 531)]
)
async def test_a_whatsminer_names_its_fault_code(
    simulated: Simulated, fault: str, field: str | None, code: int
) -> None:
    farm = await simulated("whatsminer", "whatsminer-v3")
    which: dict[str, Any] = {field: 1} if field else {}
    for machine in farm.machines:
        machine.faults.begin(Fault(fault), **which)
    old, new = (machine.address for machine in farm.machines)
    codes = (await rpc(old, "get_error_code"))["Msg"]["error_code"]
    assert [list(entry) for entry in codes] == [[str(code)]]
    assert (await rpc(old, "summary"))["SUMMARY"][0]["Error Code 0"] == code
    (info,) = await v3(new, {"cmd": "get.device.info"})
    assert str(code) in info["msg"]["error-code"][0]


async def test_a_lost_board_shows_in_each_makes_own_way(simulated: Simulated) -> None:
    farm = await simulated("whatsminer", "avalon", "antminer", "bitaxe")
    for machine in farm.machines:
        machine.faults.begin(Fault.BOARD_LOST, board=0)
    whatsminer, avalon, antminer, bitaxe = (machine.address for machine in farm.machines)
    assert [board["ASC"] for board in (await rpc(whatsminer, "devs"))["DEVS"]] == [1, 2]
    packed = (await rpc(avalon, "estats"))["STATS"][0]["MM ID0"]
    assert " MGHS[0.0 " in packed
    assert " PVT_T0[] " in packed
    stats = (await rpc(antminer, "stats"))["STATS"][1]
    assert (stats["chain_acn1"], stats["chain_rate1"], stats["chain_acn2"] > 0) == (0, "", True)
    info = json.loads((await http(bitaxe, "/api/system/info"))[1])
    assert (info["asicCount"], info["hashRate"]) == (0, 0)


def is_garbage(answer: bytes) -> None:
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        json.loads(answer)


def is_deep(answer: bytes) -> None:
    assert answer.count(b"[") == DEEP_LEVELS
    with pytest.raises(RecursionError):
        json.loads(answer)


def is_no_utf8(answer: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        answer.decode()


def is_absurd(answer: bytes) -> None:
    numbers = numbers_in(json.loads(answer))
    assert {1e308, -1, -273.15, 2**63} <= set(numbers)
    assert all(map(math.isfinite, numbers))


def is_nan(answer: bytes) -> None:
    numbers = numbers_in(json.loads(answer))
    assert any(map(math.isnan, numbers))
    assert not any(map(math.isfinite, numbers))


def numbers_in(value: Any) -> list[float]:
    match value:
        case bool():
            return []
        case dict():
            return [number for item in value.values() for number in numbers_in(item)]
        case list():
            return [number for item in value for number in numbers_in(item)]
        case int() | float():
            return [value]
        case _:
            return []


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (Fault.GARBAGE, is_garbage),
        (Fault.HALF_ANSWER, is_garbage),
        (Fault.DEEP_JSON, is_deep),
        (Fault.INVALID_UTF8, is_no_utf8),
        (Fault.ABSURD_NUMBERS, is_absurd),
        (Fault.NAN_NUMBERS, is_nan),
    ],
)
async def test_a_broken_answer_is_broken_on_every_port(
    simulated: Simulated, fault: Fault, check: Callable[[bytes], None]
) -> None:
    farm = await simulated("avalon", "bitaxe")
    avalon, bitaxe = farm.machines
    sound = await exchange(avalon.address, 4028, b'{"command":"pools"}')
    for machine in farm.machines:
        machine.faults.begin(fault)
    broken = await exchange(avalon.address, 4028, b'{"command":"pools"}')
    check(broken.rstrip(b"\0"))
    answer = await exchange(bitaxe.address, 80, b"GET /api/system/info HTTP/1.0\r\n\r\n")
    check(answer.partition(b"\r\n\r\n")[2] if fault is not Fault.GARBAGE else answer)
    if fault is Fault.HALF_ANSWER:
        assert sound.startswith(broken)
    machine.faults.end()
    status, body = await http(bitaxe.address, "/api/system/info")
    assert status == 200
    assert json.loads(body)["hashRate"] > 0


async def test_absurd_numbers_get_into_avalons_packed_string_too(simulated: Simulated) -> None:
    farm = await simulated("avalon")
    farm.machines[0].faults.begin(Fault.ABSURD_NUMBERS)
    packed = (await rpc(farm.machines[0].address, "estats"))["STATS"][0]["MM ID0"]
    assert "[-1]" in packed
    assert "1e+308" in packed


async def test_a_machine_that_never_answers_accepts_and_keeps_silent(simulated: Simulated) -> None:
    farm = await simulated("whatsminer-v3")
    machine = farm.machines[0]
    machine.faults.begin(Fault.NEVER_ANSWERS)
    for port, request in ((4028, VERSION), (4433, b"\x02\0\0\0{}")):
        reader, writer = await asyncio.open_connection(machine.address, port)
        writer.write(request)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.write_eof()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.close()


async def test_a_slow_machine_drips_byte_by_byte(simulated: Simulated) -> None:
    farm = await simulated("avalon")
    farm.machines[0].faults.begin(Fault.SLOW_DRIP)
    reader, writer = await asyncio.open_connection(farm.machines[0].address, 4028)
    writer.write(VERSION)
    received = bytearray()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await collected(reader, received)
    assert received == b'{"'
    writer.close()


async def collected(reader: asyncio.StreamReader, into: bytearray) -> None:
    """Everything until the end, kept even when this is cut short."""
    while chunk := await reader.read(100):
        into += chunk


async def test_a_huge_answer_is_a_hundred_megabytes_and_says_so(simulated: Simulated) -> None:
    farm = await simulated("bitaxe", "avalon")
    for machine in farm.machines:
        machine.faults.begin(Fault.HUGE_ANSWER)
    bitaxe, avalon = (machine.address for machine in farm.machines)
    reader, writer = await asyncio.open_connection(bitaxe, 80, limit=2**20)
    writer.write(b"GET /api/system/info HTTP/1.0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert f"Content-Length: {await counted(reader)}".encode() in head
    writer.close()
    reader, writer = await asyncio.open_connection(avalon, 4028, limit=2**20)
    writer.write(VERSION)
    assert await counted(reader) > HUGE_BYTES
    writer.close()


async def counted(reader: asyncio.StreamReader) -> int:
    """How many bytes come until the end."""
    count = 0
    async with asyncio.timeout(DEADLINE_S):
        while chunk := await reader.read(2**20):
            count += len(chunk)
    return count


async def test_one_who_leaves_in_the_middle_of_a_huge_answer_is_let_go(simulated: Simulated) -> None:
    farm = await simulated("avalon", "avalon")
    broken, sound = farm.machines
    broken.faults.begin(Fault.HUGE_ANSWER)
    reader, writer = await asyncio.open_connection(broken.address, 4028)
    writer.write(VERSION)
    await reader.read(10)
    assert farm.open_connections == 1
    writer.close()

    async def gone() -> bool:
        return farm.open_connections == 0

    assert await until(gone)
    assert (await rpc(sound.address, "version"))["VERSION"]


async def test_a_redirecting_machine_sends_one_in_circles_and_answers_elsewhere(simulated: Simulated) -> None:
    farm = await simulated("antminer")
    machine = farm.machines[0]
    machine.faults.begin(Fault.REDIRECT)
    answer = await exchange(machine.address, 80, b"GET /x HTTP/1.0\r\n\r\n")
    assert answer.split()[1] == b"302"
    assert f"Location: http://{machine.address}/x?again\r\n".encode() in answer
    assert (await rpc(machine.address, "version"))["VERSION"]


async def test_a_fault_stays_with_its_machine(simulated: Simulated) -> None:
    farm = await simulated("avalon", "avalon")
    broken, sound = farm.machines
    broken.faults.begin(Fault.GARBAGE)
    broken.faults.begin(Fault.NEVER_ANSWERS)  # the table's first one shows
    _, writer = await asyncio.open_connection(broken.address, 4028)
    writer.write(VERSION)
    assert (await rpc(sound.address, "version"))["VERSION"]
    writer.close()
