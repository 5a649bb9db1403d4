"""The two programs' lists of commands: right, and at hand before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from agent.__main__ import COMMANDS as AGENT
from agent.__main__ import main as agent
from backend.__main__ import COMMANDS as BACKEND
from backend.__main__ import main as backend


@pytest.mark.parametrize(
    ("program", "name", "what"),
    [
        (program, name, what)
        for program, commands in ((agent, AGENT), (backend, BACKEND))
        for name, (_, what) in commands.items()
    ],
)
def test_what_help_says_of_a_command_is_what_the_command_says_of_itself(
    program: click.Group, name: str, what: str
) -> None:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert command.get_short_help_str(limit=1_000) == what


@pytest.mark.parametrize("program", ["agent", "backend"])
def test_help_comes_before_any_library_but_clicks(program: str) -> None:
    script = f"import sys, {program}.__main__ as it; it.main(['--help'], standalone_mode=False); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    *_, imported = told.splitlines()
    assert "Commands:" in told
    assert {"aiohttp", "pydantic", "sqlalchemy", "asyncio"} & set(imported.split()) == set()
