"""`itsminer-agent simulate` as a program of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.simulator.capture import captures_in
from tests import loopback
from tests.agent.simulator.asking import exchange, http, rpc, until
from tests.agent.simulator.test_capture import write_recording
from tests.conftest import FarmProcess

SIMULATE = [sys.executable, "-m", "agent", "simulate"]


def simulate(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which has to come by itself."""
    return subprocess.run([*before, *SIMULATE, *arguments], capture_output=True, text=True, timeout=30, check=False)


async def test_each_machine_is_one_json_line_when_all_listen(farm_process: FarmProcess) -> None:
    mix = "whatsminer:1,whatsminer-v3:1,avalon:1,antminer:1,bitaxe:1"
    process, machines = farm_process("--mix", mix, machines=5)
    assert [set(machine) for machine in machines] == [{"address", "family", "identifiers"}] * 5
    assert [machine["family"] for machine in machines] == [part.partition(":")[0] for part in mix.split(",")]
    for machine in machines:
        assert machine["address"] in machine["identifiers"]
        if machine["family"] == "bitaxe":
            assert (await http(machine["address"], "/api/system/info"))[0] == 200
        else:
            assert await exchange(machine["address"], 4028, b'{"command":"version"}')
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


async def test_recordings_are_replayed_by_name(farm_process: FarmProcess, captures: Path) -> None:
    process, machines = farm_process("--captures", str(captures), "--machines", "5", machines=5)
    names = [folder.name for folder in captures_in(captures)]
    assert [machine["family"] for machine in machines] == [*names, *names][:5]
    avalon = next(machine for machine in machines if machine["family"].startswith("avalon"))
    assert (await rpc(avalon["address"], "version"))["VERSION"][0]["MAC"] in avalon["identifiers"]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


async def test_a_script_breaks_machines_of_the_running_program(farm_process: FarmProcess, tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nfault = "garbage"\nmachines = "avalon:2"')
    _, (sound, broken) = farm_process("--mix", "avalon:2", "--faults", str(script), machines=2)
    assert (await rpc(sound["address"], "version"))["VERSION"]
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        await rpc(broken["address"], "version")


def test_without_json_it_says_what_listens_and_what_will_break() -> None:
    base = loopback.take(6)[0]
    process = subprocess.Popen(
        [*SIMULATE, "--mix", "avalon:3,whatsminer:3", "--base", base, "--faults", "demo"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(9)]
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()
    assert lines[0].startswith(f"6 machines listen on {base} to ")
    assert lines[1].split()[:2] == ["3", "avalon"]
    assert any("  from 12 s until 33 s: overheating at 127." in line for line in lines[3:])
    assert sum("for ever" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--mix", "commodore:1"], "no family 'commodore'"),
        (["--mix", "avalon:1", "--captures", "."], "give --mix or --captures, not both"),
        (["--base", "10.0.0.1"], "too few loopback addresses"),
        (["--machines", "0"], "--machines"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(arguments: list[str], complaint: str) -> None:
    ended = simulate(*arguments)
    assert ended.returncode == 2
    assert complaint in ended.stderr


def test_what_cannot_be_simulated_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    ended = simulate("--captures", str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"itsminer-agent: {tmp_path} holds no capture: expected folders with a manifest.json in them\n"
    )
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nfault = "garbage"\nmachines = "antminer"')
    base = loopback.take()[0]
    ended = simulate("--mix", "avalon:1", "--base", base, "--faults", str(script))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "'antminer' is no machine of this farm" in ended.stderr


def test_help_lists_faults_and_the_script_format() -> None:
    text = simulate("--help").stdout
    assert "never_answers   accepts and never answers" in text
    assert '    machines = "whatsminer:1"' in text


def without_port_80() -> tuple[str, ...]:
    """What to put before a command so that it may not bind port 80; skips where that cannot be had."""
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("everybody may bind port 80 here")
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not here")
    return ("setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")


def test_families_whose_port_may_not_be_bound_are_left_out_with_a_word() -> None:
    before = without_port_80()
    base = loopback.take(4)[0]
    process = subprocess.Popen(
        [*before, *SIMULATE, "--json", "--mix", "antminer:1,avalon:1,bitaxe:2", "--base", base],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    machine = json.loads(process.stdout.readline())
    process.terminate()
    out, said = process.communicate(timeout=10)
    assert process.returncode == 0
    assert machine["family"] == "avalon"
    assert out == ""
    assert "itsminer-agent: left out antminer: port 80 may not be bound" in said
    assert "itsminer-agent: left out bitaxe: port 80 may not be bound" in said
    nothing = simulate("--mix", "bitaxe:1", "--base", base, before=before)
    assert nothing.returncode == 1
    assert "no machine is left to simulate" in nothing.stderr


def test_too_few_descriptors_are_said_before_they_run_out(tmp_path: Path) -> None:
    write_recording(tmp_path / "example", ports={"rpc": 25028, "http": 21080})
    (tmp_path / "example" / "version.json").touch()
    base = loopback.take(100)[0]
    few = ("bash", "-c", 'ulimit -n 150 && exec "$@"', "bash")
    ended = simulate("--captures", str(tmp_path), "--machines", "100", "--base", base, before=few)
    assert ended.returncode == 1
    assert "200 listeners need more than the 150 descriptors" in ended.stderr
    assert "--shared-ports" in ended.stderr
    process = subprocess.Popen(
        [*few, *SIMULATE, "--json", "--captures", str(tmp_path), "--machines", "40", "--base", base, "--shared-ports"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(40)]
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert all(lines)
    assert "150 descriptors may be open" in said


def test_it_stops_at_once() -> None:
    base = loopback.take()[0]
    process = subprocess.Popen([*SIMULATE, "--json", "--mix", "avalon:1", "--base", base], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    begin = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - begin < 5
    process.stdout.close()


async def test_the_script_is_read_again_on_sighup_and_a_bad_one_changes_nothing(
    farm_process: FarmProcess, tmp_path: Path
) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('fault = [{ fault = "garbage", machines = "1" }]')
    process, (first, second) = farm_process("--mix", "avalon:2", "--faults", str(script), machines=2)

    async def sound() -> list[bool]:
        return [b"STATUS" in await exchange(one["address"], 4028, b'{"command":"version"}') for one in (first, second)]

    assert await sound() == [False, True]
    script.write_text('fault = [{ fault = "garbage", machines = "3" }]')
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert "the faults stay as they were" in process.stderr.readline()
    assert await sound() == [False, True]
    script.write_text('fault = [{ fault = "garbage", machines = "2" }]')
    process.send_signal(signal.SIGHUP)

    async def changed() -> bool:
        return await sound() == [True, False]

    assert await until(changed)
