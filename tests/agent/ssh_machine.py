"""A machine that allows SSH, on loopback: a real asyncssh server with answers by command, and with bad habits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncssh

Answer = Callable[["asyncssh.SSHServerProcess[bytes]"], Awaitable[None]]


@dataclass
class Machine:
    """What it answers, whom it lets in, and what it saw of those who came."""

    keys: list[asyncssh.SSHKey]
    port: int = 0
    passwords: dict[str, str] = field(default_factory=dict)
    authorized: asyncssh.SSHKey | None = None
    answers: dict[str, bytes | Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tried: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)


class _Server(asyncssh.SSHServer):
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._machine.connections += 1
        self._machine.open_now += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._machine.open_now -= 1
        self._machine.left.set()

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return bool(self._machine.passwords)

    def validate_password(self, username: str, password: str) -> bool:
        self._machine.tried.append((username, password))
        return self._machine.passwords.get(username) == password

    def public_key_auth_supported(self) -> bool:
        return self._machine.authorized is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        allowed = self._machine.authorized
        return allowed is not None and key.export_public_key() == allowed.export_public_key()


@asynccontextmanager
async def running(machine: Machine, address: str, **options: object) -> AsyncIterator[Machine]:
    """Serve until the block ends; a free port is taken unless the machine names one."""

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        machine.asked.append(command)
        what = machine.answers.get(command)
        if what is None:
            process.stderr.write(f"sh: {command.split()[0]}: not found\n".encode())
            process.exit(127)
        elif isinstance(what, bytes):
            process.stdout.write(what)
            process.exit(0)
        else:
            await what(process)

    server = await asyncssh.create_server(
        lambda: _Server(machine),
        address,
        machine.port,
        server_host_keys=machine.keys,
        process_factory=answer,
        encoding=None,
        **options,
    )
    machine.port = server.sockets[0].getsockname()[1]
    try:
        yield machine
    finally:
        server.close()
        await server.wait_closed()


async def hang(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Print a line and never come to an end."""
    process.stdout.write(b"one line\nand half of ano")
    await asyncio.Event().wait()


async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Print for ever, or until the reader closes the channel (as a shell gets a SIGPIPE then)."""
    with suppress(BrokenPipeError):
        while True:
            process.stdout.write(b"flood flood flood flood flood flood flood flood\n" * 500)
            await process.stdout.drain()


async def hang_up(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Print a line and a half, then drop the connection."""
    process.stdout.write(b"last words\nand ha")
    await process.stdout.drain()
    process.channel.get_connection().abort()
