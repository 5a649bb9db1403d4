"""`pause` and `resume`, as somebody at the site types them, where no agent runs; `tests/promises` has it with one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from agent.__main__ import main
from agent.enrolment import State


async def itsminer_agent(*arguments: str | Path) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, [str(one) for one in arguments])


async def test_without_a_running_agent_the_next_one_is_told(tmp_path: Path) -> None:
    state = State(tmp_path)
    begun = await itsminer_agent("pause", "--state", tmp_path)
    assert begun.output.startswith("No agent is running; the next one starts paused")
    since = state.pause.read_bytes()
    await itsminer_agent("pause", "--state", tmp_path)
    assert state.pause.read_bytes() == since
    ended = await itsminer_agent("resume", "--state", tmp_path)
    assert ended.output == "The pause is over; no agent is running.\n"
    assert not state.pause.exists()


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    for command in ("pause", "resume"):
        result = await itsminer_agent(command, "--state", tmp_path / "none")
        assert result.exit_code == 1
        assert f"there is no state folder {tmp_path / 'none'}" in result.stderr
