"""The systemd units: what they start is there, and they are locked up."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from agent.__main__ import main as agent_main
from agent.config import DEFAULT_FILE as AGENT_CONFIG
from agent.config import DEFAULT_STATE as AGENT_STATE
from backend.__main__ import main as backend_main
from backend.config import BackendSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ["itsminer-agent", "itsminer-backend"]
COMMANDS = {"itsminer-agent": agent_main, "itsminer-backend": backend_main}


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment, method-assign] # systemd's names have capitals
    parser.read_string((FOLDER / f"{name}.service").read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("name", UNITS)
def test_what_a_unit_starts_is_a_command_that_there_is(name: str) -> None:
    service = unit(name)["Service"]
    for line in [service["ExecStart"], *([service["ExecStartPre"]] if "ExecStartPre" in service else [])]:
        program, command_name, *arguments = line.split()
        assert program == f"/opt/itsminer/.venv/bin/{name}"
        command = COMMANDS[name].get_command(click.Context(COMMANDS[name]), command_name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= options


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_uses_the_folders_that_the_program_uses(name: str) -> None:
    service = unit(name)["Service"]
    state = Path("/var/lib") / service["StateDirectory"]
    config = next(word for word in service["ExecStart"].split() if word.endswith(".toml"))
    assert unit(name)["Unit"]["ConditionPathExists"] == config
    if name == "itsminer-agent":
        assert (state, Path(config)) == (AGENT_STATE, AGENT_CONFIG)
    else:
        assert state == BackendSettings().data_dir
    users = (FOLDER / "sysusers.conf").read_text()
    folders = (FOLDER / "tmpfiles.conf").read_text()
    assert re.search(rf'^u {name} +- ".*" +{state}$', users, re.MULTILINE)
    assert re.search(rf"^d {state} +0700 +{name} +{name}$", folders, re.MULTILINE)
    assert service["User"] == service["Group"] == name


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_locked_up(name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: Debian has it in the package systemd")
    result = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", FOLDER / f"{name}.service"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-200:] + result.stderr


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_a_unit(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: Debian has it in the package systemd")
    here = tmp_path / f"{name}.service"  # with a program that is there
    text = (FOLDER / f"{name}.service").read_text()
    here.write_text(text.replace(f"/opt/itsminer/.venv/bin/{name}", sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", here],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_programs_work_without_memory_that_can_be_written_and_executed() -> None:
    """The units forbid it (MemoryDenyWriteExecute): a library that needs it would fail at the farm only."""
    script = """
import ctypes, mmap
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, Linux 6.3
    raise SystemExit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass
else:
    raise SystemExit("it is not forbidden")
import asyncio, aiohttp, aiosqlite, asyncssh, duckdb, pyarrow, pyasic, pyasic_rs, sqlalchemy, uvloop, zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
assert duckdb.sql("SELECT sum(i) FROM range(1000) t(i)").fetchall() == [(499500,)]
pyarrow.table({"a": [1, 2]})
zstandard.ZstdDecompressor().decompress(zstandard.ZstdCompressor().compress(b"x" * 1000))
AESGCM(bytes(32)).encrypt(bytes(12), b"x", None)
uvloop.run(asyncio.sleep(0))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    if result.returncode == 77:
        pytest.skip("this kernel cannot forbid it for a process (PR_SET_MDWE, Linux 6.3)")
    assert result.returncode == 0, result.stderr
