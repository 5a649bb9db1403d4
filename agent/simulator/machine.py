"""One simulated machine: an address, a firmware that answers, names that it carries, faults it suffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from agent.reading import Live
from agent.simulator.faults import Faults

Request = Mapping[str, Any]
"""A parsed JSON request of the 4028 or 4433 interface."""


def wall_clock() -> datetime:
    """The clock of machines and farms that nobody gave another."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a firmware speaks the cgminer interface on port 4028."""

    description: str  # who it says it is in an error, e.g. "cgminer 4.11.1"
    terminator: bytes = b"\0"  # follows each answer; then the connection is closed
    multicommand: bool = True  # knows {"command": "summary+devs"}
    flat_errors: bool = False  # Whatsminer's {"STATUS": "E", …} and not cgminer's {"STATUS": [{…}]}


@dataclass(frozen=True, slots=True)
class Login:
    """What a firmware's web pages ask for: HTTP digest."""

    realm: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class WebRequest:
    """One HTTP request; header names in lower case."""

    method: str
    target: str  # path with query, as sent
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """One HTTP answer, before its Content-Length."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Firmware(Protocol):
    """What answers when nothing is in the way. `None` is "no such command", "no such page"."""

    @property
    def ports(self) -> Mapping[str, int]:
        """What it listens on: `rpc`, `http`, `whatsminer_v3` → port."""

    @property
    def dialect(self) -> Dialect:
        """How its `rpc` port speaks."""

    @property
    def login(self) -> Login | None:
        """What its `http` port asks for."""

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        """The JSON answer to one command, without terminator."""

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        """The page of an authorised request."""

    def v3(self, request: Request, now: datetime) -> bytes | None:
        """The JSON answer of Whatsminer's version 3 interface, without length prefix."""

    def truth(self, now: datetime) -> Live | None:
        """What a perfect reader would say now; None for a recording."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One address that answers like a miner."""

    address: str
    family: str  # the family's name, or the recording's folder
    identifiers: tuple[str, ...]  # every string that it planted or holds and that must not leave the site
    firmware: Firmware
    faults: Faults

    def truth(self, now: datetime) -> Live | None:
        """What a perfect reader would say now; None for a recording."""
        return self.firmware.truth(now)
