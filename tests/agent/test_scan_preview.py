"""`scan` and `preview` as a person and a program use them."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import uvloop
from click.testing import CliRunner, Result

from agent.__main__ import main
from agent.keyring import Keyring, Kind
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.farm import Farm
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine
from agent.wire import Reading
from tests import loopback


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    """One machine of each family, in a thread of their own; the last one hears and says nothing."""
    addresses = loopback.take(len(FAMILIES) + 1)
    farm = Farm(
        [
            family_machine(family, address, seed=number)
            for number, (family, address) in enumerate(zip([*FAMILIES, "whatsminer"], addresses, strict=True), start=1)
        ]
    )
    ready, stop = threading.Event(), threading.Event()

    async def live() -> None:
        async with farm.listening():
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: uvloop.run(live()))
    thread.start()
    try:
        assert ready.wait(20)
        if farm.left_out:
            pytest.skip(f"cannot simulate every machine here: {farm.left_out}")
        farm.machines[-1].faults.begin(Fault.NEVER_ANSWERS)
        yield list(farm.machines)
    finally:
        stop.set()
        thread.join()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The commands set up logging for a process of their own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "200"})


def names(machine: Machine) -> set[str]:
    return {name for name in machine.identifiers if len(name) > 3}


def test_scan_prints_a_line_for_each_machine_of_a_range(machines: list[Machine]) -> None:
    first, last = machines[0].address, machines[-2].address

    result = run("scan", f"{first}-{last.rpartition('.')[2]}")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["Address", "Make", "Model", "Firmware", "MAC", "Driver"]
    assert [line.split()[0] for line in lines[1:]] == [machine.address for machine in machines[:-1]]
    assert result.stderr == ""


def test_scan_as_json_names_address_make_model_firmware_mac_and_driver(machines: list[Machine]) -> None:
    result = run("scan", machines[0].address, machines[4].address, "--json")

    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert {one["address"] for one in found} == {machines[0].address, machines[4].address}
    assert {frozenset(one) for one in found} == {frozenset({"address", "make", "model", "firmware", "mac", "driver"})}


def test_scan_of_nothing_says_so_and_what_to_check() -> None:
    (address,) = loopback.take()

    result = run("scan", address)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert (
        result.stderr
        == f"itsminer-agent: no miner answered at {address}; check the range, and that this host may reach it\n"
    )


@pytest.mark.parametrize("command", ["scan", "preview"])
@pytest.mark.parametrize(
    ("range_", "complaint"),
    [("10.0.0.0/8", "16,777,214 addresses are too many"), ("10.0.0", "10.0.0 is no range; write")],
)
def test_a_bad_range_is_a_usage_error_that_says_what_to_write(command: str, range_: str, complaint: str) -> None:
    result = run(command, range_)

    assert result.exit_code == 2
    assert complaint in result.stderr


def test_scan_without_a_range_looks_where_the_settings_say(machines: list[Machine], tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'[network]\nranges = ["{machines[0].address}-{machines[2].address}"]\nexclude = ["{machines[1].address}"]\n'
    )

    result = run("scan", "--config", str(config), "--json")

    assert [json.loads(line)["address"] for line in sorted(result.stdout.splitlines())] == [
        machines[0].address,
        machines[2].address,
    ]
    assert run("scan").exit_code == 2


def test_preview_prints_one_reading_for_each_machine_and_nothing_more(machines: list[Machine]) -> None:
    result = run("preview", "--json", *(machine.address for machine in machines[:-1]))

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    readings = [Reading.model_validate_json(line) for line in result.stdout.splitlines()]
    assert len(readings) == len(machines) - 1
    assert {reading.make for reading in readings} == {"Antminer", "Avalon", "BitAxe", "Whatsminer"}
    for reading, line in zip(readings, result.stdout.splitlines(), strict=True):
        assert reading.model_dump_json(exclude_none=True) == line, "the very bytes"
        assert reading.hashrate_ths
        assert reading.time.timestamp() % 60 == 0, "on the grid"


@pytest.mark.parametrize("form", [("--json",), ()])
def test_preview_shows_no_name_of_a_machine_but_the_address_that_was_given(
    machines: list[Machine], form: tuple[str, ...]
) -> None:
    for machine in machines[:-1]:
        shown = run("preview", machine.address, *form).output.lower()
        for name in names(machine) - ({machine.address} if not form else set()):
            assert name.lower() not in shown, (machine.family, name)


def test_preview_for_people_shows_the_very_same_fields(machines: list[Machine]) -> None:
    address = machines[0].address
    fields = json.loads(run("preview", address, "--json").stdout)

    shown = run("preview", address).stdout

    for name, value in fields.items():
        is_table = isinstance(value, list) and value and isinstance(value[0], dict)
        assert f"{name}[0] " in shown if is_table else f"{name} " in shown
    assert "M50" in shown
    assert f"{address} (the address stays here)" in shown


def test_preview_keeps_the_order_of_its_arguments_since_its_lines_name_no_address(machines: list[Machine]) -> None:
    backwards = [machine for machine in reversed(machines) if machine is not machines[-1]]
    result = run("preview", "--json", *(machine.address for machine in backwards))
    makes = [Reading.model_validate_json(line).make for line in result.stdout.splitlines()]
    assert [(make or "").lower() for make in makes] == [machine.family.removesuffix("-v3") for machine in backwards]


def test_an_address_without_a_machine_is_named_and_the_others_are_still_printed(machines: list[Machine]) -> None:
    (nobody,) = loopback.take()

    result = run("preview", "--json", nobody, machines[0].address)

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == f"itsminer-agent: {nobody}: no miner answers there\n"


def test_a_machine_that_never_answers_is_named_in_the_end(machines: list[Machine]) -> None:
    result = run("preview", "--json", machines[-1].address, "--engine", "pyasic")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert machines[-1].address in result.stderr


def test_preview_needs_no_enrolment_and_forgets_its_key(machines: list[Machine]) -> None:
    address = machines[0].address

    first, second = (json.loads(run("preview", address, "--json").stdout)["machine"] for _ in range(2))

    assert first != second


def test_preview_of_an_enrolled_site_shows_the_site_s_own_pseudonyms(machines: list[Machine], tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "site.key")
    config = tmp_path / "agent.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n')
    shown = {
        json.loads(run("preview", machines[0].address, "--json", *options).stdout)["machine"]
        for options in (("--state", str(tmp_path)), ("--config", str(config)))
    }

    (mac,) = {name for name in machines[0].identifiers if name.count(":") == 5}
    assert shown == {keyring.pseudonym(Kind.MACHINE, mac)}


def test_preview_says_where_only_totals_leave_the_site(machines: list[Machine], tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[privacy]\nmode = "aggregate"\n')

    result = run("preview", machines[0].address, "--config", str(config))

    assert "only totals leave this site, by its own settings" in result.stderr
    assert "hashrate_ths" in result.stdout


def test_a_state_folder_without_a_key_is_an_error(machines: list[Machine], tmp_path: Path) -> None:
    result = run("preview", machines[0].address, "--state", str(tmp_path))

    assert result.exit_code == 1
    assert "no site key at" in result.stderr


def test_without_vendors_passwords_an_antminer_keeps_its_mac_to_itself(machines: list[Machine]) -> None:
    antminer = next(machine for machine in machines if machine.family == "antminer")

    with_, without = (
        json.loads(run("scan", antminer.address, "--json", option).stdout)
        for option in ("--vendor-passwords", "--no-vendor-passwords")
    )

    assert "mac" in with_
    assert "mac" not in without
    assert without["make"] == "Antminer"


def test_the_settings_decide_about_vendors_passwords(machines: list[Machine], tmp_path: Path) -> None:
    antminer = next(machine for machine in machines if machine.family == "antminer")
    config = tmp_path / "agent.toml"
    config.write_text("[poll]\nvendor_passwords = false\n")

    assert "mac" not in json.loads(run("scan", antminer.address, "--json", "--config", str(config)).stdout)
    assert "mac" in json.loads(run("scan", antminer.address, "--json").stdout)


@pytest.mark.parametrize("command", ["scan", "preview"])
def test_help_says_that_vendors_passwords_are_tried(command: str) -> None:
    assert "passwords that vendors ship with" in " ".join(run(command, "--help").stdout.split())
