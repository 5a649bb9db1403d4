"""Processes that begin in milliseconds: forked from one that has imported what they need.

There is one such server a test process, and what it imports is fixed when it starts: so all that tests want is here.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from multiprocessing.context import ForkServerContext
from pathlib import Path

_IMPORTED = [
    "tests.agent.killed",
    "tests.agent.victim",
    "tests.backend.notify.killing",
    "tests.backend.store.writer",
    "agent.commands.enrolment",
    "agent.commands.onsite",
    *(
        f"backend.commands.{name}"
        for name in ("registry", "staff", "privacy", "audit", "incident", "retention", "importing")
    ),
]


@cache
def processes() -> ForkServerContext:
    """Of `multiprocessing`, with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def command(program: str, arguments: tuple[str, ...], folder: Path) -> int | None:
    """Run one command of `agent` or `backend` to its end, with `out` and `err` in the folder; its exit code."""
    process = processes().Process(target=_typed, args=(program, arguments, folder, dict(os.environ), Path.cwd()))
    process.start()
    process.join()
    return process.exitcode


def _typed(program: str, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], cwd: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    import_module(f"{program}.__main__").main(arguments)
