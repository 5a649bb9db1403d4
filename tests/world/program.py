"""One of our programs as a real process: started, waited for, stopped or killed, its output kept in a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from tests import forked

T = TypeVar("T")


class DidNotStart(RuntimeError):
    """The program ended or stayed silent; the message carries the end of its output."""


class Program:
    """`python -m agent …` or `python -m backend …` with output in `log` (stdout and stderr apart)."""

    def __init__(self, module: str, *arguments: str, log: Path) -> None:
        self.arguments = (sys.executable, "-m", module, *arguments)
        self.out = log.with_suffix(".out")
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.out.open("ab") as out, self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "160"},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def send(self, number: int) -> None:
        """Send it a signal, and do not wait for what it does then."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def until(self, ready: Callable[[], Awaitable[T | None]], deadline_s: float = 30) -> T:
        """Wait until `ready` gives something; raises `DidNotStart` with the log's end otherwise."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self.running:
                    answer = await ready()
                    if answer is not None:
                        return answer
                    await asyncio.sleep(0.05)
        raise DidNotStart(f"{' '.join(self.arguments[2:])}: not ready within {deadline_s} s\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def stop(self, signum: int = signal.SIGTERM, deadline_s: float = 30) -> int:
        """Ask it to end and wait; its exit code. SIGKILL after the deadline."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)
        try:
            async with asyncio.timeout(deadline_s):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        await self.stop(signal.SIGKILL)


async def call(module: str, *arguments: str) -> str:
    """Run one command to its end, in a process of its own; its standard output. Raises `DidNotStart` when it fails."""
    with TemporaryDirectory(prefix="itsminer-") as folder:
        code = await asyncio.to_thread(forked.command, module, arguments, Path(folder))
        out, err = ((Path(folder) / name).read_text() for name in ("out", "err"))
    if code:
        raise DidNotStart(f"{module} {' '.join(arguments)}: exit {code}\n{err}")
    return out


async def call_json(module: str, *arguments: str) -> dict[str, str]:
    """As `call` with --json; the one object that it prints."""
    answer: dict[str, str] = json.loads(await call(module, *arguments, "--json"))
    return answer
