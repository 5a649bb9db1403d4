"""Which SSH host key each machine has: trusted when it is first met, pinned from then on.

The file is in the form of OpenSSH's `known_hosts` (address, algorithm, key, then since when), so that the operator can
use it with `ssh -o UserKnownHostsFile=…`. It is for the agent's eyes only and is there whole or not at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from agent import durable
from agent.errors import Misconfigured

FILE: Final = "ssh_host_keys"
"""The file's name in the agent's state folder."""

_PORT: Final = 22
_LINE: Final = re.compile(
    r"(?:(?P<plain>[0-9a-f.:]+)|\[(?P<address>[0-9a-f.:]+)\]:(?P<port>\d{1,5}))"
    r" (?P<algorithm>[\w.@-]+) (?P<blob>\S+) since (?P<since>\S+)"
)


class HostKeyChanged(Misconfigured):
    """A machine shows another host key than the one it is pinned to; nothing was sent to it."""


class HostKey(NamedTuple):
    """A public host key: its algorithm's name and its bytes in base64, as OpenSSH writes them."""

    algorithm: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -l` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Pin(NamedTuple):
    """What an address answered with when it was first met."""

    key: HostKey
    since: datetime


class Door(NamedTuple):
    """Where an SSH server is."""

    address: str
    port: int

    def __str__(self) -> str:
        return self.address if self.port == _PORT else f"{self.address} port {self.port}"


class HostKeys:
    """The pins of one file. Each call reads the file, so that two commands at one time see each other's pins."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pinned(self, door: Door) -> Pin | None:
        """The pin of an address. Raises `Misconfigured` when the file cannot be trusted."""
        return self._load().get(door)

    def check(self, door: Door, key: HostKey) -> bool:
        """Whether this key is the pinned one; False when the address has no pin yet.

        Raises `HostKeyChanged` when it is pinned to another key; the message says what to do.
        """
        pins = self._load()
        pin = pins.get(door)
        if pin is None or pin.key == key:
            return pin is not None
        others = ", ".join(str(other) for other, known in sorted(pins.items()) if known.key == key)
        raise HostKeyChanged(
            f"{door} shows another SSH host key than the one it is known by since {pin.since:%Y-%m-%d}: "
            f"{key.fingerprint} instead of {pin.key.fingerprint}. No password was sent. "
            + (f"The new key is that of {others}: has the address gone to another machine? " if others else "")
            + "If its firmware was installed anew or it is another machine now, run again with --new-host-key. "
            "If neither, somebody may stand between: find out before you go on."
        )

    def pin(self, door: Door, key: HostKey, now: datetime) -> None:
        """Trust this key for this address from now on. Raises `DiskTrouble` when that cannot be kept."""
        self._save(self._load() | {door: Pin(key, now)})

    def forget(self, door: Door) -> bool:
        """Trust whatever the address shows next; False when it had no pin."""
        pins = self._load()
        if pins.pop(door, None) is None:
            return False
        self._save(pins)
        return True

    def forget_address(self, address: str) -> None:
        """Keep nothing of an address, whichever ports it was met at."""
        pins = self._load()
        kept = {door: pin for door, pin in pins.items() if door.address != address}
        if kept != pins:
            self._save(kept)

    def _load(self) -> dict[Door, Pin]:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"cannot read the SSH host keys {self._path}: {type(error).__name__}") from error
        if mode & 0o077:
            raise Misconfigured(f"others may read or write {self._path} (mode {mode:04o}); run: chmod 600 {self._path}")
        return dict(self._parse(text))

    def _parse(self, text: str) -> Iterator[tuple[Door, Pin]]:
        for number, line in enumerate(text.splitlines(), start=1):
            if not line or line.startswith("#"):
                continue
            try:
                yield _pin_of(line)
            except ValueError as error:
                raise Misconfigured(
                    f"{self._path}:{number} is damaged; remove that line, its machine is met anew then"
                ) from error

    def _save(self, pins: dict[Door, Pin]) -> None:
        lines = [_line_of(door, pin) for door, pin in sorted(pins.items())]
        durable.private_folder(self._path.parent)
        durable.write(self._path, "".join(lines).encode("ascii"))


def _pin_of(line: str) -> tuple[Door, Pin]:
    """Raises `ValueError` for a line that is none of ours."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("not a host key line")
    try:
        base64.b64decode(found["blob"], validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    pin = Pin(HostKey(found["algorithm"], found["blob"]), datetime.fromisoformat(found["since"]))
    return Door(found["plain"] or found["address"], int(found["port"] or _PORT)), pin


def _line_of(door: Door, pin: Pin) -> str:
    where = door.address if door.port == _PORT else f"[{door.address}]:{door.port}"
    return f"{where} {pin.key.algorithm} {pin.key.blob} since {pin.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
