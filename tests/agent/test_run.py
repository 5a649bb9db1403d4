"""`enroll`, `check-config` and `run` as programs: started, stopped, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import agent
from agent.__main__ import main
from tests.agent.backend import Backend, problem, serving, unpacked
from tests.agent.certificates import self_signed
from tests.agent.until import until
from tests.conftest import FarmProcess

EXAMPLE = Path(agent.__file__).with_name("agent.example.toml")


def itsminer_agent(*arguments: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], input=typed)


def write(folder: Path, *addresses: str, more: str = "") -> Path:
    path = folder / "agent.toml"
    ranges = ", ".join(f'"{address}"' for address in addresses)
    path.write_text(
        f'state_dir = "state"\n[network]\nranges = [{ranges}]\n'
        f"[poll]\ninterval_s = 1\ndeadline_s = 0.8\n[spool]\nflush_s = 0.1\n{more}"
    )
    return path


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


async def program(*arguments: str | Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=file
        )


async def ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(20):
        return await process.wait()


class TestCheckConfig:
    def test_shows_what_is_in_effect_and_no_secret(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("hunter2")
        more = '[[credentials]]\nmake = "Antminer"\nusername = "root"\npassword_file = "secret"\n'
        more += '[[ssh]]\nmake = "Whatsminer"\nusername = "admin"\n'
        result = itsminer_agent("check-config", write(tmp_path, "10.0.0.0/24", more=more))
        assert result.exit_code == 0
        assert "poll.interval_s = 1.0" in result.output
        assert "254 addresses to look at" in result.output
        assert f"root on Antminer, password from {tmp_path / 'secret'}" in result.output
        assert "admin on Whatsminer, by no password" in result.output
        assert "hunter2" not in result.output
        assert f"itsminer-agent enroll --config {tmp_path / 'agent.toml'} --backend" in result.output

    def test_takes_the_example(self) -> None:
        assert itsminer_agent("check-config", EXAMPLE).exit_code == 0

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[poll]\ninterval = 5\n", ":2: poll.interval: there is no such setting"),
            ("", "network.ranges names no address"),
            ("[network]\nranges = ['10.0.0.1']\nexclude = ['10.0.0.0/24']\n", "network.ranges names no address"),
            ("[network]\nranges = ['10.0.0.1']\n[backend]\nca_file = 'none.pem'\n", "ca_file"),
            (
                "[network]\nranges = ['10.0.0.1']\n"
                "[[credentials]]\nmake = 'Antminer'\nusername = 'r'\npassword_file = 'no'\n",
                "credentials of Antminer: cannot read",
            ),
            (
                "[network]\nranges = ['10.0.0.1']\n[[ssh]]\nmake = 'Antminer'\nusername = 'r'\nkey_file = 'no'\n",
                "ssh of Antminer: cannot read",
            ),
        ],
    )
    def test_says_what_to_change(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "agent.toml"
        path.write_text(text)
        result = itsminer_agent("check-config", path)
        assert result.exit_code == 1
        assert says in result.stderr
        assert result.stdout == ""


class TestEnroll:
    async def test_says_what_was_done_and_what_comes_next(self, tmp_path: Path, backend: Backend) -> None:
        path = write(tmp_path, "10.0.0.1")
        result = await asyncio.to_thread(itsminer_agent, "enroll", "--backend", backend.url, "--config", path, "CODE")
        assert result.exit_code == 0
        assert "Enrolled as North hall" in result.output
        assert f"itsminer-agent run --config {path}" in result.output
        assert "tok_" not in result.output
        assert "Enrolled as North hall" in itsminer_agent("check-config", path).output

    async def test_reads_the_code_from_standard_input(self, tmp_path: Path, backend: Backend) -> None:
        state = tmp_path / "state"
        arguments = ("enroll", "--backend", backend.url, "--state", str(state), "-")
        result = await asyncio.to_thread(itsminer_agent, *arguments, typed="CODE\n")
        assert result.exit_code == 0
        assert backend.enrolments[0]["code"] == "CODE"

    async def test_reminds_of_the_authority_that_the_settings_do_not_name(self, tmp_path: Path) -> None:
        authority, context = self_signed(tmp_path)
        path = write(tmp_path, "10.0.0.1")
        async with serving(Backend(), context) as backend:
            arguments = ("enroll", "--backend", backend.url, "--config", path, "--ca-file", authority, "CODE")
            result = await asyncio.to_thread(itsminer_agent, *arguments)
        assert result.exit_code == 0
        assert f'[backend] ca_file = "{authority}"' in result.output

    async def test_says_why_not(self, tmp_path: Path, backend: Backend) -> None:
        backend.answers = [problem(410, "this code expired")]
        arguments = ("enroll", "--backend", backend.url, "--state", str(tmp_path), "CODE")
        result = await asyncio.to_thread(itsminer_agent, *arguments)
        assert result.exit_code == 1
        assert result.stderr == "itsminer-agent: the backend did not take the code: this code expired\n"


class TestRun:
    def test_without_an_enrolment_names_the_command_for_one(self, tmp_path: Path) -> None:
        path = write(tmp_path, "10.0.0.1")
        result = itsminer_agent("run", "--config", path)
        assert result.exit_code == 1
        assert f"run: itsminer-agent enroll --config {path} --backend https://YOUR-BACKEND CODE" in result.stderr

    async def test_ends_with_0_after_sigterm_and_keeps_nothing_back(
        self, tmp_path: Path, backend: Backend, farm_process: FarmProcess
    ) -> None:
        _, machines = farm_process("--mix", "avalon:2", "--machines", "2", machines=2)
        path = write(tmp_path, *(machine["address"] for machine in machines))
        await asyncio.to_thread(itsminer_agent, "enroll", "--backend", backend.url, "--config", path, "CODE")
        process = await program("run", "--config", path, log=tmp_path / "log")
        await until(lambda: len(backend.stored) >= 3)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
        log = (tmp_path / "log").read_text()
        assert "event=agent.started" in log
        assert "event=agent.stopped waiting_batches=0 unspooled_readings=0" in log
        status = itsminer_agent("status", "--config", path)
        assert "2 known, 2 reachable" in status.output
        assert "stopped" in status.output

    @pytest.mark.slow
    async def test_killed_over_and_over_it_loses_no_spooled_batch_and_doubles_nothing(
        self, tmp_path: Path, backend: Backend, farm_process: FarmProcess
    ) -> None:
        _, machines = farm_process("--mix", "avalon:6", "--machines", "6", machines=6)
        path = write(tmp_path, *(machine["address"] for machine in machines))
        await asyncio.to_thread(itsminer_agent, "enroll", "--backend", backend.url, "--config", path, "CODE")
        spool = tmp_path / "state" / "spool"
        for _ in range(2):
            backend.answers = ["store and die", "hang"]  # at the kill one batch is stored and not acknowledged
            process = await program("run", "--config", path, log=tmp_path / "log")
            await until(lambda: not backend.answers and len(list(spool.glob("*.batch"))) >= 2)
            os.kill(process.pid, signal.SIGKILL)
            await ended(process)
            waiting = {unpacked(file.read_bytes()).id for file in spool.glob("*.batch")}
            assert waiting
        backend.answers = []
        process = await program("run", "--config", path, log=tmp_path / "log")
        await until(lambda: waiting <= backend.stored.keys())
        await until(lambda: len({one.machine for kept in backend.stored.values() for one in kept.readings}) == 6)
        process.send_signal(signal.SIGINT)
        assert await ended(process) == 0
        places = [(one.machine, one.time) for kept in backend.stored.values() for one in kept.readings]
        assert len(set(places)) == len(places)
        assert not list(spool.glob("*.batch"))
        assert "level=error" not in (tmp_path / "log").read_text()
