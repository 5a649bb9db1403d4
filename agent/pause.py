"""Whether the people at the site want the agent to rest: no machine is asked then, and nothing is sent.

It is a file in the state folder, so that a restart or a loss of power does not end a pause that a person began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agent import durable

log = structlog.get_logger()


class Pause:
    """On or off. A file that cannot be understood is a pause: silence is what can be made good again."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._since = _read(path)
        self._tell()

    @property
    def since(self) -> datetime | None:
        """When it began; None while the agent works."""
        return self._since

    async def begin(self) -> None:
        """Rest from now on. In effect at once; raises `DiskTrouble` when a restart would not know of it."""
        if self._since is not None:
            return
        self._since = self._clock().astimezone(UTC)
        self._tell()
        log.warning("agent.paused")
        await asyncio.to_thread(durable.write, self._path, self._since.isoformat().encode())

    async def end(self) -> None:
        """Work again. Raises `DiskTrouble` when the file stays; then the pause goes on."""
        if self._since is None:
            return
        await asyncio.to_thread(_remove, self._path)
        self._since = None
        self._tell()
        log.info("agent.resumed")

    async def until_begun(self) -> None:
        """Return when a pause is on."""
        await self._begun.wait()

    async def until_over(self) -> None:
        """Return when none is."""
        await self._over.wait()

    def _tell(self) -> None:
        now_on, now_off = (self._begun, self._over) if self._since else (self._over, self._begun)
        now_on.set()
        now_off.clear()


def _read(path: Path) -> datetime | None:
    try:
        since = datetime.fromisoformat(path.read_text("ascii").strip())
        return since.astimezone(UTC)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):  # the start of the pause is lost, the pause is not
        return datetime.fromtimestamp(0, UTC)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise durable.trouble(error, path) from error
