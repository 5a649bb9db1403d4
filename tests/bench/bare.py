"""A bare asyncio client that makes the same requests as one poll of the asic-rs driver, and understands nothing.

The requests are recorded once, at the simulator's own door. What is left when a client does no more than that is
the least that a poll can cost in Python.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

from pydantic import BaseModel

from agent.drivers.asic_rs import AsicRs
from agent.drivers.floods import Floods
from agent.drivers.logins import Logins
from agent.simulator.farm import PROTOCOLS, Farm
from agent.simulator.machine import Machine

_PORTS: Final = {"rpc": 4028, "http": 80, "whatsminer_v3": 4433}
_USER, _PASSWORD = "root", "root"


class Exchange(BaseModel):
    """One question of a poll, as it was sent."""

    protocol: Literal["rpc", "http", "whatsminer_v3"]
    question: str
    logs_in: bool = False


async def record(machines: Iterable[Machine]) -> dict[str, list[Exchange]]:
    """What one poll of each machine asks, by its family."""
    machines = list(machines)
    heard: dict[str, list[Exchange]] = {}
    driver = AsicRs(Logins(vendor_passwords=True), Floods())
    async with Farm(machines, shares_ports=False).listening(), _listening_in(heard):
        for machine in machines:
            miner = await driver.find(machine.address)
            assert miner is not None, machine.family
            await miner.read()
            heard[machine.address] = []
            await miner.read()
    return {machine.family: _once(heard[machine.address]) for machine in machines}


@asynccontextmanager
async def _listening_in(heard: dict[str, list[Exchange]]) -> AsyncIterator[None]:
    """Note what comes in at each address. HTTP clients send each request in one piece."""
    usual = {name: conversation.data_received for name, conversation in PROTOCOLS.items()}

    def ear(name: Any) -> Any:
        def data_received(self: Any, data: bytes) -> None:
            address = self._transport.get_extra_info("sockname")[0]
            logs_in = b"\r\nauthorization: digest" in data.lower()
            exchange = Exchange(protocol=name, question=data.decode("latin-1"), logs_in=logs_in)
            heard.setdefault(address, []).append(exchange)
            usual[name](self, data)

        return data_received

    try:
        for name, conversation in PROTOCOLS.items():
            conversation.data_received = ear(name)  # type: ignore[method-assign]
        yield
    finally:
        for name, conversation in PROTOCOLS.items():
            conversation.data_received = usual[name]  # type: ignore[method-assign]


def _once(exchanges: list[Exchange]) -> list[Exchange]:
    """A request that was refused and then made again with a login is one exchange: the client here does both."""
    logged_in = {_line(exchange) for exchange in exchanges if exchange.logs_in}
    return [exchange for exchange in exchanges if exchange.logs_in or _line(exchange) not in logged_in]


def _line(exchange: Exchange) -> str:
    return exchange.question.partition("\r\n")[0]


class Client:
    """Asks one machine; one HTTP connection is kept, the others are closed by the machine after each answer."""

    def __init__(self, address: str, exchanges: list[Exchange]) -> None:
        self._address = address
        self._exchanges = exchanges
        self._web: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def read(self) -> bool:
        for exchange in self._exchanges:
            question = exchange.question.encode("latin-1")
            if exchange.protocol == "http":
                await self._ask_web(question, logs_in=exchange.logs_in)
            else:
                await self._ask_once(exchange.protocol, question)
        return True

    async def _ask_once(self, protocol: str, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._address, _PORTS[protocol])
        try:
            writer.write(question)
            if protocol == "whatsminer_v3":
                (length,) = struct.unpack("<I", await reader.readexactly(4))
                return await reader.readexactly(length)
            return await reader.read(-1)
        finally:
            writer.transport.abort()

    async def _ask_web(self, question: bytes, *, logs_in: bool) -> bytes:
        if self._web is None:
            self._web = await asyncio.open_connection(self._address, _PORTS["http"])
        if not logs_in:
            return (await self._ask_kept(question))[1]
        bare = re.sub(rb"\r\n[Aa]uthorization: [^\r]*", b"", question)
        head, _ = await self._ask_kept(bare)
        proof = _digest(head.decode("latin-1"), question.split(b" ", 2)[1].decode())
        return (await self._ask_kept(bare.replace(b"\r\n", f"\r\nAuthorization: {proof}\r\n".encode(), 1)))[1]

    async def _ask_kept(self, question: bytes) -> tuple[bytes, bytes]:
        assert self._web is not None
        reader, writer = self._web
        writer.write(question)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        return head, await reader.readexactly(int(length[1]) if length else 0)


def _digest(head: str, target: str) -> str:
    given = dict(re.findall(r'(\w+)="([^"]*)"', head[head.lower().index("www-authenticate") :]))
    who, what = _md5(f"{_USER}:{given['realm']}:{_PASSWORD}"), _md5(f"GET:{target}")
    response = _md5(f"{who}:{given['nonce']}:00000001:0:auth:{what}")
    return (
        f'Digest username="{_USER}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{target}", '
        f'qop=auth, nc=00000001, cnonce="0", response="{response}"'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
