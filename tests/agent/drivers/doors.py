"""Raw listeners where a machine would be, for what no simulated machine does: they record, hang or answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """One listener; knows who is inside."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.entered = 0
        self.inside = 0
        self.heard = bytearray()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.entered += 1
        self.inside += 1
        try:
            await self._handler(Ear(reader, self.heard), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.inside -= 1
            writer.close()


class Ear(asyncio.StreamReader):
    """A reader that writes down what it reads."""

    def __init__(self, reader: asyncio.StreamReader, heard: bytearray) -> None:
        super().__init__()
        self._reader = reader
        self._heard = heard

    async def read(self, n: int = -1) -> bytes:
        data = await self._reader.read(n)
        self._heard += data
        return data


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take questions and never answer, until the other side hangs up."""
    while await reader.read(65_536):
        pass


def say(answer: bytes) -> Handler:
    """Answer anything with this, and close."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        await writer.drain()

    return handler


@asynccontextmanager
async def doors(address: str, **handlers: Handler) -> AsyncIterator[dict[str, Door]]:
    """`async with doors("127.0.0.9", port4028=hang) as opened:`; skips where a port may not be bound."""
    opened, servers = {}, []
    try:
        for name, handler in handlers.items():
            opened[name] = Door(handler)
            try:
                servers.append(await asyncio.start_server(opened[name], address, int(name.removeprefix("port"))))
            except PermissionError:
                pytest.skip(f"{name} may not be bound here")
        yield opened
    finally:
        for server in servers:
            server.close()
