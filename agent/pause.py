"""Whether the people at the site want the agent to rest: no machine is asked then, and nothing is sent.

It is a file in the state folder, so that a restart or a loss of power does not end a pause that a person began, and so
that `itsminer-agent pause` can begin one: a running agent looks at the file every half second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from agent import durable

LOOK_S: Final = 0.5

log = structlog.get_logger()


class Pause:
    """On or off. A file that cannot be understood is a pause: silence is what can be made good again."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._since = since(path)
        self._is_file = self._since is not None
        self._tell()

    @property
    def since(self) -> datetime | None:
        """When it began; None while the agent works."""
        return self._since

    async def begin(self) -> None:
        """Rest from now on. In effect at once; raises `DiskTrouble` when a restart would not know of it."""
        if self._since is not None:
            return
        self._set(self._clock().astimezone(UTC))
        await asyncio.to_thread(begin, self._path, self._clock())

    async def end(self) -> None:
        """Work again. Raises `DiskTrouble` when the file stays; then the pause goes on."""
        if self._since is None:
            return
        await asyncio.to_thread(end, self._path)
        self._set(None)

    async def follow(self) -> None:
        """Do what others do with the file, until cancelled. One that this disk never took is no word of theirs."""
        while True:
            await asyncio.sleep(LOOK_S)
            found = await asyncio.to_thread(_is_there, self._path)
            if found is None or found == self._is_file:
                continue
            self._is_file = found
            if found != (self._since is not None):
                self._set(await asyncio.to_thread(since, self._path))

    async def until_begun(self) -> None:
        """Return when a pause is on."""
        await self._begun.wait()

    async def until_over(self) -> None:
        """Return when none is."""
        await self._over.wait()

    async def until_changed(self) -> None:
        """Return when what is on now ends."""
        await (self._begun if self._since is None else self._over).wait()

    def _set(self, began: datetime | None) -> None:
        if (began is None) == (self._since is None):
            return
        self._since = began
        self._tell()
        if began is None:
            log.info("agent.resumed")
        else:
            log.warning("agent.paused")

    def _tell(self) -> None:
        now_on, now_off = (self._begun, self._over) if self._since else (self._over, self._begun)
        now_on.set()
        now_off.clear()


def begin(path: Path, now: datetime) -> None:
    """Have whatever agent works with this file rest, now and after every start. Raises `DiskTrouble`."""
    durable.write(path, now.astimezone(UTC).isoformat().encode())


def end(path: Path) -> None:
    """Have it work again. Raises `DiskTrouble`."""
    durable.remove(path)


def since(path: Path) -> datetime | None:
    """When the pause that this file is began; None when there is none."""
    if _is_there(path) is False:
        return None
    try:
        return datetime.fromisoformat(path.read_text("ascii").strip()).astimezone(UTC)
    except (OSError, ValueError):
        pass
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:  # the start of the pause is lost, the pause is not
        return datetime.fromtimestamp(0, UTC)


def _is_there(path: Path) -> bool | None:
    """None when the disk does not say."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return True
