"""The agent as a program with its page: password set, opened, settings read again, logs as JSON."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner, Result

from agent.__main__ import main
from agent.lan.password import Password
from tests.agent.backend import Backend, serving
from tests.agent.until import until
from tests.conftest import FarmProcess


def itsminer_agent(*arguments: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], input=typed)


def test_the_password_is_read_from_standard_input_or_made_up(tmp_path: Path) -> None:
    state = tmp_path / "state"
    result = itsminer_agent("lan-password", "--state", state, typed="correct horse\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Password(state / "lan-password").fits("correct horse")
    made = itsminer_agent("lan-password", "--state", state, "--generate")
    assert Password(state / "lan-password").fits(made.stdout.strip())
    short = itsminer_agent("lan-password", "--state", state, typed="short\n")
    assert short.exit_code == 1
    assert short.stderr == "itsminer-agent: the password is too short; 10 characters are the fewest\n"


def test_check_config_tries_the_certificate(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[network]\nranges = ['10.0.0.1']\n[lan]\ncertificate_file = 'no.pem'\nkey_file = 'no.pem'\n")
    result = itsminer_agent("check-config", path)
    assert result.exit_code == 1
    assert f"lan.certificate_file {tmp_path / 'no.pem'} and lan.key_file cannot be used" in result.stderr


@pytest.mark.slow
async def test_a_running_agent_opens_its_page_and_reads_its_settings_again(
    tmp_path: Path, farm_process: FarmProcess
) -> None:
    _, machines = farm_process("--mix", "avalon:2", "--machines", "2", machines=2)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    path, log = tmp_path / "agent.toml", tmp_path / "log"

    def write(addresses: list[str], more: str = "") -> None:
        path.write_text(
            f"state_dir = 'state'\n[network]\nranges = {addresses}\n[poll]\ninterval_s = 1\ndeadline_s = 0.8\n"
            f"[spool]\nflush_s = 0.1\n[lan]\nport = {port}\n{more}"
        )

    def said() -> list[dict[str, object]]:
        return [json.loads(line) for line in log.read_text().splitlines()]

    def says(event: str) -> bool:
        return any(entry["event"] == event for entry in said())

    addresses = [str(machine["address"]) for machine in machines]
    write(addresses)
    async with serving(Backend()) as backend, aiohttp.ClientSession() as client:
        await asyncio.to_thread(itsminer_agent, "enroll", "--backend", backend.url, "--config", path, "CODE")
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent", "run", "--config", str(path), "--log-format", "json"), stderr=file
            )
        try:
            await until(lambda: len(backend.stored) >= 2)
            assert says("lan.closed")
            itsminer_agent("lan-password", "--config", path, typed="correct horse\n")
            await until(lambda: says("lan.open"))
            login = {"Authorization": aiohttp.encode_basic_auth("me", "correct horse")}
            async with client.get(f"http://127.0.0.1:{port}/machines", headers=login) as answer:
                assert addresses[0] in await answer.text()
            write(addresses, "nonsense = 1\n")
            process.send_signal(signal.SIGHUP)
            await until(lambda: says("settings.refused"))
            write(addresses[:1])
            process.send_signal(signal.SIGHUP)
            await until(lambda: says("settings.reloaded"))
            await until(lambda: "1 known" in itsminer_agent("status", "--config", path).output)
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await process.wait() == 0
    refused = next(entry for entry in said() if entry["event"] == "settings.refused")
    assert "lan.nonsense: there is no such setting" in str(refused["why"])
