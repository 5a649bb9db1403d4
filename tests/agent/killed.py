"""What an operator's commands do, in a process that is killed before the n-th change of the disk."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.commands.keys import forgotten
from agent.enrolment import State, enroll
from agent.rotation import rotate
from tests import forked

_CHANGES = ("fsync", "link", "replace", "unlink")


def enrolling(folder: Path, url: str) -> None:
    asyncio.run(enroll(State(folder), url, "CODE", again=True))


def rotating(folder: Path, old: str) -> None:
    rotate(State(folder), datetime(2026, 1, 2, tzinfo=UTC), keeps_old=old == "keep")


def forgetting(folder: Path, pseudonym: str) -> None:
    forgotten(State(folder), pseudonym)


def kills(work: Callable[[Path, str], None], fresh: Callable[[], Path], argument: str) -> Iterator[Path]:
    """The folder after a kill at each step, over a fresh one each time; ends when the work comes to its end."""
    for step in range(1, 100):
        folder = fresh()
        if _code(step, work, folder, argument) == 0:
            return
        yield folder
    raise AssertionError("it never comes to its end")


def _code(step: int, *work: Any) -> int:
    process = forked.processes().Process(target=_until_killed, args=(step, *work))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), "it failed by itself"
    return process.exitcode


def _until_killed(step: int, work: Callable[[Path, str], None], folder: Path, argument: str) -> None:
    left = step

    def deadly(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **more)

        return changed

    for name in _CHANGES:
        setattr(os, name, deadly(getattr(os, name)))
    work(folder, argument)
