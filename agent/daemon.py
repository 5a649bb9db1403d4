"""What the service manager (systemd) is told: that we are ready, how we do, and, while we get on, that we live.

A ping of the watchdog is a statement about the work and not about the process: it is held back when machines are
known and none was finished with, or when a request hangs. systemd then starts the agent anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from agent.config import AgentSettings

_POLL_GRACE_S: Final = 120.0
_SENDING_S: Final = 600.0
"""Ten times what one request may take."""
_WAITING_S: Final = 4_500.0
"""A backend may ask for an hour's rest; a quarter more is no rest."""

log = structlog.get_logger()


class Manager:
    """The service manager that started us; without one, all of this does nothing. Nothing here raises or waits."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes its variables out of the environment: they are not for programs that we start."""
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        whose = environment.pop("WATCHDOG_PID", "")
        self.watchdog_s: float | None = None
        if address and watchdog_us.isdecimal() and int(watchdog_us) and whose in ("", str(os.getpid())):
            self.watchdog_s = int(watchdog_us) / 1_000_000
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._words = ""

    def ready(self) -> None:
        """Work has begun, or goes on after `reloading`."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The settings are read again."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> None:
        """We were asked to stop and finish what was begun."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's ping."""
        self._tell("WATCHDOG=1")

    def words(self, text: str) -> None:
        """How we do, in one line of plain words, for `systemctl status`. Told when it changes."""
        if text != self._words:
            self._words = text
            self._tell(f"STATUS={' '.join(text.split())}")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)  # a manager that does not listen must not hold us up
            to.sendto(message.encode(), self._address)


class Signs(NamedTuple):
    """What shows whether the agent gets on."""

    resting: bool
    machines: int
    readings: int
    uplink: str  # idle, sending, waiting or paused
    waiting_batches: int
    tries: int
    settled_batches: int  # that left the queue


class Progress:
    """Judges signs, one after the other. `clock_s` is a clock that only goes forward."""

    def __init__(self, interval_s: float, clock_s: Callable[[], float]) -> None:
        self._poll_s = 2 * interval_s + _POLL_GRACE_S
        self._clock_s = clock_s
        self._polls = _Unchanged(clock_s())
        self._sends = _Unchanged(clock_s())
        self._said = ""

    def stuck(self, signs: Signs) -> str:
        """Why this is no progress; empty when it is. Logged when it changes."""
        why = self._judge(signs)
        if why and why != self._said:
            log.critical("agent.stuck", why=why)
        self._said = why
        return why

    def _judge(self, signs: Signs) -> str:
        now_s = self._clock_s()
        no_machines = signs.resting or not signs.machines
        polls_s = self._polls.for_s(now_s if no_machines else signs.readings, now_s)
        nothing_to_send = signs.resting or (signs.uplink == "idle" and not signs.waiting_batches)
        sends = now_s if nothing_to_send else (signs.uplink, signs.tries, signs.settled_batches)
        sends_s = self._sends.for_s(sends, now_s)
        if polls_s > self._poll_s:
            return f"no machine was finished with for {polls_s:.0f} s"
        if sends_s > (_WAITING_S if signs.uplink in ("waiting", "paused") else _SENDING_S):
            return f"nothing was sent or tried for {sends_s:.0f} s"
        return ""


class _Unchanged:
    """For how long something is what it is."""

    def __init__(self, now_s: float) -> None:
        self._seen: Hashable = None
        self._since_s = now_s

    def for_s(self, seen: Hashable, now_s: float) -> float:
        if seen != self._seen:
            self._seen, self._since_s = seen, now_s
        return now_s - self._since_s


@dataclass(frozen=True)
class Daemon:
    """What a running agent has to do with whatever started it; by default nothing."""

    manager: Manager = field(default_factory=lambda: Manager({}))
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the settings are to be read again."""
    load: Callable[[], AgentSettings] = AgentSettings
    """Reads them; raises `Misconfigured` when they are no good."""
