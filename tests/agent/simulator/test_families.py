"""Machines of our own making: both libraries know them, their numbers live and agree, their names are declared."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyasic_rs
import pytest

from agent.errors import Misconfigured
from agent.reading import Live
from agent.simulator.families.antminer import S21
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine, WebRequest, wall_clock
from agent.simulator.names import names_in
from tests.agent.simulator import plain_pyasic
from tests.conftest import Simulated

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
COMMANDS = str.split(
    "summary devs edevs pools devdetails version get_version get_miner_info get_psu get_error_code status stats estats"
)
CGI = str.split("get_system_info get_network_info miner_type get_miner_conf get_blink_status summary stats pools")
PAGES = ("/", "/api/system/info", "/api/system/asic", *(f"/cgi-bin/{name}.cgi" for name in CGI))
MAKES = {
    "whatsminer": ("whatsminer", "whatsminer"),
    "whatsminer-v3": ("whatsminer", "whatsminer"),
    "avalon": ("avalonminer", "avalonminer"),
    "antminer": ("antminer", "antminer"),
    "bitaxe": ("bitaxe", "bitaxe"),
}


def machine_of(family: str, seed: int, *, up: timedelta = timedelta(hours=3), now: datetime = START) -> Machine:
    """A machine whose clock stands still at `now` and that started `up` before it."""
    return family_machine(family, "127.77.0.1", seed, clock=lambda: now, started=now - up)


def answers_of(machine: Machine, now: datetime) -> list[bytes]:
    """Everything that the machine can be made to say."""
    firmware = machine.firmware
    said = [firmware.rpc({"command": command}, now) for command in COMMANDS]
    said.append(firmware.rpc({"command": "stats", "new_api": True}, now))
    said += [firmware.v3({"cmd": "get.miner.status", "param": part}, now) for part in ("summary", "edevs", "pools")]
    said += [firmware.v3({"cmd": command}, now) for command in ("get.device.info", "get.miner.setting")]
    pages = [firmware.web(WebRequest("GET", path, {}, b""), now) for path in PAGES]
    return [body for body in said if body is not None] + [page.body for page in pages if page is not None]


@pytest.mark.parametrize("family", FAMILIES)
async def test_asic_rs_reads_what_the_machine_does(simulated: Simulated, family: str) -> None:
    farm = await simulated(family, family, seed=2, started=wall_clock() - timedelta(hours=3))
    for machine in farm.machines:
        async with asyncio.timeout(20):
            miner: Any = await pyasic_rs.MinerFactory().get_miner(machine.address)
            assert miner is not None
            assert miner.make.lower() == MAKES[family][0]
            data = await miner.get_data()
        truth = machine.truth(wall_clock())
        assert truth is not None
        compare(
            truth,
            hashrate_ths=float(data.hashrate.value),
            expected_ths=float(data.expected_hashrate.value),
            fans_rpm=[round(fan.rpm) for fan in data.fans],
            uptime_s=data.uptime.total_seconds(),
            boards_ths=[float(board.hashrate.value) for board in data.hashboards],
            chips=[board.working_chips for board in data.hashboards],
        )
        assert data.is_mining
        if truth.power_w is not None:
            assert data.wattage == pytest.approx(truth.power_w, rel=0.07)  # Avalon's other number: 5.5 % less
        assert str(data.mac).upper() in machine.identifiers
        pools = [pool for group in data.pools for pool in group.pools]
        assert [pool.user for pool in pools] == [pool.user for pool in truth.pools or ()]
        assert pools[0].accepted_shares == truth.shares_accepted


@pytest.mark.parametrize("family", FAMILIES)
async def test_pyasic_reads_what_the_machine_does(simulated: Simulated, family: str) -> None:
    farm = await simulated(family, family, seed=2, started=wall_clock() - timedelta(hours=3))
    reader = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        plain_pyasic.__name__,
        *(machine.address for machine in farm.machines),
        stdout=asyncio.subprocess.PIPE,
    )
    lines, _ = await reader.communicate()
    assert reader.returncode == 0
    for machine, line in zip(farm.machines, lines.splitlines(), strict=True):
        data = json.loads(line)
        assert data.pop("make").lower() == MAKES[family][1]
        assert data.pop("mac") in machine.identifiers
        assert data.pop("is_mining")
        truth = machine.truth(wall_clock())
        assert truth is not None
        compare(truth, **data)


def compare(
    truth: Live,
    *,
    hashrate_ths: float,
    expected_ths: float,
    fans_rpm: list[int],
    uptime_s: float,
    boards_ths: list[float],
    chips: list[int],
) -> None:
    """A library's reading against the truth of a moment later."""
    boards = truth.boards or ()
    assert hashrate_ths == pytest.approx(truth.hashrate_ths, rel=0.01)
    assert expected_ths == pytest.approx(truth.expected_ths, rel=0.001)
    assert fans_rpm == pytest.approx(truth.fans_rpm, rel=0.02)
    assert uptime_s == pytest.approx(truth.uptime_s, abs=10)
    assert boards_ths == pytest.approx([board.hashrate_ths for board in boards], rel=0.01)
    assert chips == [board.chips_working for board in boards]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fault", [None, Fault.POOL_CHANGED, Fault.OVERHEATING])
def test_every_name_in_every_answer_is_declared(family: str, fault: Fault | None) -> None:
    for seed in range(8):
        machine = machine_of(family, seed)
        if fault is not None:
            machine.faults.begin(fault)
        said = answers_of(machine, START)
        undeclared = set(names_in(said)) - set(machine.identifiers)
        assert not undeclared
        assert machine.identifiers[0] == machine.address


@pytest.mark.parametrize("family", FAMILIES)
def test_no_two_machines_share_what_names_only_one(family: str) -> None:
    one, other = (set(machine_of(family, seed).identifiers) for seed in (6, 9))
    shared = one & other
    assert all("mine.example" in name or name.startswith("acc") for name in shared - {"127.77.0.1"})


def test_every_eighth_machine_mines_to_a_wallet() -> None:
    wallets = [any(name.startswith("bc1q") for name in machine_of("bitaxe", seed).identifiers) for seed in range(16)]
    assert [place for place, is_wallet in enumerate(wallets) if is_wallet] == [7, 15]


def test_farms_of_different_seeds_share_no_account_and_no_private_pool() -> None:
    north, south = (set(machine_of("avalon", seed).identifiers) for seed in (100_000, 200_000))
    assert north & south == {"127.77.0.1"}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_says_the_same(family: str) -> None:
    assert answers_of(machine_of(family, 5), START) == answers_of(machine_of(family, 5), START)
    assert answers_of(machine_of(family, 5), START) != answers_of(machine_of(family, 6), START)


@pytest.mark.parametrize("family", FAMILIES)
def test_boards_add_up_and_power_follows_the_hashrate(family: str) -> None:
    machine = machine_of(family, 4)
    truth = machine.firmware.truth(START)
    assert truth is not None
    assert truth.hashrate_ths == pytest.approx(sum(board.hashrate_ths or 0 for board in truth.boards or ()))
    assert truth.hashrate_ths == pytest.approx(truth.expected_ths, rel=0.03)
    machine.faults.begin(Fault.BOARD_LOST)
    less = machine.truth(START)
    assert less is not None
    if truth.power_w is not None and less.power_w is not None and len(truth.boards or ()) == 3:
        assert less.power_w / truth.power_w == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_machine_that_just_started_warms_up(family: str) -> None:
    machine = machine_of(family, 4, up=timedelta(0))
    truths = [machine.truth(START + timedelta(seconds=after)) for after in (1, 10, 30, 120)]
    rates = [truth.hashrate_ths or 0 for truth in truths if truth]
    chips = [truth.boards[0].chip_temp_c or 0 for truth in truths if truth and truth.boards]
    assert 0 < rates[0] < rates[1] < rates[2] < rates[3]
    assert chips[0] < chips[1] < chips[3]
    assert [round(truth.uptime_s or 0) for truth in truths if truth] == [1, 10, 30, 120]


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_move_and_counters_only_grow(family: str) -> None:
    machine = machine_of(family, 4, up=timedelta(seconds=0))
    machine.faults.begin(Fault.ZERO_HASHRATE, since=START + timedelta(seconds=15), until=START + timedelta(seconds=200))
    truths = [truth for after in range(0, 3_600, 7) if (truth := machine.truth(START + timedelta(seconds=after)))]
    counts = [truth.shares_accepted for truth in truths if truth.shares_accepted is not None]
    rejects = [truth.shares_rejected for truth in truths if truth.shares_rejected is not None]
    assert counts == sorted(counts)
    assert rejects == sorted(rejects)
    if family != "whatsminer-v3":  # which tells nobody
        assert counts[-1] > 500
        assert rejects[-1] > 0
    assert len({truth.hashrate_ths for truth in truths[60:]}) > 100


def test_one_machine_in_ten_starts_with_the_farm_and_the_others_ran_before() -> None:
    ages = [
        (family_machine("avalon", "127.77.0.1", seed, clock=lambda: START).truth(START) or Live()).uptime_s or 0
        for seed in range(100)
    ]
    assert sum(age < 5 for age in ages) == 10
    assert max(ages) < 14 * 86_400
    assert len(set(ages)) > 80


def test_only_newer_antminers_say_what_they_draw() -> None:
    for seed in (0, 1):
        machine = machine_of("antminer", seed)
        stats = machine.firmware.rpc({"command": "stats"}, START) or b""
        is_s21 = S21.name.encode() in stats
        truth = machine.truth(START)
        assert truth is not None
        assert (truth.power_w is not None) == is_s21 == (b"chain_power" in stats)


def test_a_family_that_there_is_not_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"no family 'commodore': choose from whatsminer, whatsminer-v3"):
        family_machine("commodore", "127.77.0.1", 1)


def test_documents_are_compact_json() -> None:
    body = machine_of("whatsminer", 1).firmware.rpc({"command": "summary"}, START) or b""
    assert b": " not in body.replace(b"'", b"")
    assert json.loads(body)["SUMMARY"][0]["Power Mode"] == "Normal"
