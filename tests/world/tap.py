"""A wire tap: a TCP relay that keeps every byte of both directions, and can cut or hold the line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Tap:
    """Relays `port` to `target` on loopback. `seen` has all bytes in the order in which they came by."""

    target: int
    port: int = 0
    seen: bytearray = field(default_factory=bytearray)
    cut_answers: bool = False  # let requests through and drop the line before the answer
    refuse: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def hang_up(self) -> None:
        """Drop every connection that is open now."""
        for writer in list(self._open):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.refuse:
                return
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, back_writer, is_answer=False), name="there")
                    group.create_task(self._pump(back_reader, writer, is_answer=True), name="back")
            finally:
                back_writer.close()
        except* (ConnectionError, OSError):
            pass  # a relay's peers come and go
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while data := await source.read(65536):
            self.seen += data
            if is_answer and self.cut_answers:
                raise ConnectionResetError("the tap cuts answers")
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()


@contextlib.asynccontextmanager
async def tap(target: int) -> AsyncIterator[Tap]:
    """A `Tap` in front of a loopback port."""
    relay = Tap(target)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.hang_up()
