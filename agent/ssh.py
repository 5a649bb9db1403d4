"""Asks a machine over SSH for its logs: fixed commands, bounded in time and in bytes, on a host key that is pinned.

Nothing of the operator's own SSH set-up is used: no agent, no keys and no settings of the home folder. A password or a
key is offered only after the machine has proved to own its host key and the key is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import asyncssh

from agent.errors import AgentError, MinerUnreachable, Misconfigured
from agent.hostkeys import Door, HostKey, HostKeys
from agent.ssh_commands import Command

_HOST_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",  # with SHA-1, last: the dropbear of an S9 or S17 has nothing else
)
_RSA: Final = frozenset({("rsa-sha2-512", "ssh-rsa"), ("rsa-sha2-256", "ssh-rsa")})
"""How an `ssh-rsa` key signs."""
_READ_BYTES: Final = 32_768
_WINDOW_BYTES: Final = 131_072
"""What a machine may send ahead of our reading: all that a flood can pile up here."""
_PARTING_S: Final = 2.0

Ending = Literal["whole", "too long", "too slow", "broken off"]


class LoginRefused(Misconfigured):
    """The machine takes none of the logins that the settings hold for it."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who to log in as; with neither a password nor a key, as firmware that asks for none wants it."""

    username: str
    password: str | None = field(default=None, repr=False)
    key: asyncssh.SSHKey | None = field(default=None, repr=False)
    port: int = 22


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a machine may take and how much it may say; what is past that is left out, and that is said."""

    login_s: float = 15.0
    command_s: float = 20.0
    output_bytes: int = 262_144


@dataclass(frozen=True, slots=True)
class Output:
    """What a command printed, standard error with it: bytes as they came, whole lines if it had to be cut."""

    command: Command
    data: bytes
    ending: Ending
    exit_status: int | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What one machine answered, and with which host key."""

    outputs: tuple[Output, ...]
    fingerprint: str
    is_first: bool


def load_key(data: bytes) -> asyncssh.SSHKey:
    """A private key without a passphrase. Raises `ValueError`, which quotes nothing of it."""
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        if "passphrase" in str(error).lower() or "encrypt" in str(error).lower():
            raise ValueError("the key has a passphrase; make one without, that only the agent can read") from None
        raise ValueError("that is no private key") from None


async def visit(
    address: str,
    logins: Iterable[Login],
    commands: Iterable[Command],
    host_keys: HostKeys,
    clock: Callable[[], datetime],
    limits: Limits = Limits(),
) -> Visit:
    """Run the commands one after the other; one that hangs, floods or fails costs only itself.

    Raises `MinerUnreachable` (no SSH there, or it does not answer in time), `HostKeyChanged`, `LoginRefused`, and what
    `HostKeys` raises. A machine that hangs up in the middle is no error: what it had said by then is returned.
    """
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)  # it logs addresses and user names
    refused = []
    is_first = False
    for login in logins:
        door = Door(address, login.port)
        client = _Client(door, login, host_keys, clock)
        try:
            async with _connected(door, login, client, limits) as connection:
                outputs = await _run_all(connection, commands, limits)
                return Visit(outputs, client.shown.fingerprint, is_first or client.is_first)
        except LoginRefused:
            refused.append(login.username)
            is_first = is_first or client.is_first
    if not refused:
        raise LoginRefused("no login for SSH to machines of this make; add an [[ssh]] section to the settings")
    raise LoginRefused(
        f"{address} does not take the SSH login of {', '.join(dict.fromkeys(refused))}; "
        "check the [[ssh]] section of its make and the file that it names"
    )


class _Client(asyncssh.SSHClient):
    """Decides about the host key, and only then gives the login away. What speaks against it is in `objection`."""

    def __init__(self, door: Door, login: Login, host_keys: HostKeys, clock: Callable[[], datetime]) -> None:
        self._door = door
        self._host_keys = host_keys
        self._clock = clock
        self._key = login.key
        self._password = "" if login.password is None else login.password
        self.shown = HostKey("", "")
        self.is_first = False
        self.objection: AgentError | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        algorithm, blob = key.export_public_key("openssh").decode("ascii").split()[:2]
        self.shown = HostKey(algorithm, blob)
        try:
            self.is_first = not self._host_keys.check(self._door, self.shown)
        except AgentError as error:
            self.objection = error
            return False
        return True

    def algorithms(self) -> tuple[str, ...]:
        """Those of the pinned key first: a machine has several keys, and shows the one that is asked for."""
        pin = self._host_keys.pinned(self._door)
        if pin is None:
            return _HOST_KEY_ALGORITHMS
        is_pinned = {
            name: name == pin.key.algorithm or (name, pin.key.algorithm) in _RSA for name in _HOST_KEY_ALGORITHMS
        }
        return tuple(sorted(_HOST_KEY_ALGORITHMS, key=is_pinned.__getitem__, reverse=True))

    def keep(self) -> bool:
        """Pin the key; by now asyncssh has checked that the machine owns it. False when that cannot be written down."""
        if self.is_first:
            try:
                self._host_keys.pin(self._door, self.shown, self._clock())
            except AgentError as error:
                self.objection = error
        return self.objection is None

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        key, self._key = self._key, None
        return key if self.keep() else None

    def password(self) -> str | None:
        return self._password if self.keep() else None


@asynccontextmanager
async def _connected(
    door: Door, login: Login, client: _Client, limits: Limits
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    connection = await _connect(door, login, client, limits)
    try:
        if not client.keep() and client.objection:
            raise client.objection
        yield connection
    finally:
        connection.abort()  # a polite close would wait for a machine that does not read
        with suppress(TimeoutError):
            async with asyncio.timeout(_PARTING_S):
                await connection.wait_closed()


async def _connect(door: Door, login: Login, client: _Client, limits: Limits) -> asyncssh.SSHClientConnection:
    try:
        async with asyncio.timeout(limits.login_s):
            return await asyncssh.connect(
                door.address,
                door.port,
                config=None,
                client_factory=lambda: client,
                known_hosts=([], [], []),
                server_host_key_algs=client.algorithms(),
                compression_algs=["none"],  # a few bytes can be inflated to many
                username=login.username,
                password=None if login.key else client.password,
                client_keys=None,
                agent_path=None,
                agent_forwarding=False,
                gss_host=None,
                host_based_auth=False,
                request_pty=False,
            )
    except (OSError, asyncssh.Error, ValueError) as error:  # ValueError: packets that are none
        if client.objection:
            raise client.objection from error
        if isinstance(error, asyncssh.PermissionDenied):
            raise LoginRefused(f"{door} does not take the SSH login of {login.username}") from error
        raise MinerUnreachable(f"no SSH at {door}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "it is turned off there"
        case asyncssh.ConnectionLost():
            return "it hangs up"
        case asyncssh.KeyExchangeFailed():
            return "it has no cipher that is still fit for use"
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return f"what answers does not speak SSH as it should ({type(error).__name__})"


async def _run_all(
    connection: asyncssh.SSHClientConnection, commands: Iterable[Command], limits: Limits
) -> tuple[Output, ...]:
    outputs: list[Output] = []
    for command in commands:
        outputs.append(await _run(connection, command, limits))
        if connection.is_closed():
            break
    return tuple(outputs)


async def _run(connection: asyncssh.SSHClientConnection, command: Command, limits: Limits) -> Output:
    said = bytearray()
    ending: Ending = "whole"
    status = None
    try:
        async with asyncio.timeout(limits.command_s):
            status = await _listen(connection, command, said, limits.output_bytes)
    except TimeoutError:
        ending = "too slow"
    except (OSError, asyncssh.Error, ValueError):
        ending = "broken off"
    if len(said) > limits.output_bytes:
        ending = "too long"
    return Output(
        command, _whole_lines(said, limits.output_bytes) if ending != "whole" else bytes(said), ending, status
    )


async def _listen(
    connection: asyncssh.SSHClientConnection, command: Command, said: bytearray, most_bytes: int
) -> int | None:
    """Collect what a command prints into `said` until it ends or has printed more than `most_bytes`."""
    process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(
        command.line,
        stdin=asyncssh.DEVNULL,
        stderr=asyncssh.STDOUT,
        encoding=None,
        window=_WINDOW_BYTES,
    )
    try:
        while len(said) <= most_bytes:
            read = await process.stdout.read(_READ_BYTES)
            if not read:
                await process.wait_closed()
                return process.exit_status
            said += read
        return None
    finally:
        process.channel.abort()


def _whole_lines(data: bytearray, most_bytes: int) -> bytes:
    """Up to the last line's end: half an address cannot be told for one any more, so half a line is not kept."""
    kept = bytes(data[:most_bytes])
    return kept[: kept.rfind(b"\n") + 1]
