"""Questions on the miners' own ports, within bounds: 4028 as cgminer and its descendants speak it, 4433 as
Whatsminer's third API does.

An answer of more than `MOST_BYTES` is refused, and a connection is closed however its use ends. No deadline of
its own; the caller holds one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Final

from agent.errors import BadReply, MinerUnreachable, TooMuch

PORT: Final = 4028
MOST_BYTES: Final = 1 << 20
"""The longest answer known is an Avalon's `estats`, some 30 kB."""

Answer = dict[str, object]


async def ask(address: str, command: str) -> Answer:
    """The whole answer to a command, which may be an error. Raises `MinerUnreachable`, `BadReply` or `TooMuch`."""
    return _parse(await exchange(address, PORT, json.dumps({"command": command}).encode()))


async def exchange(address: str, port: int, question: bytes) -> bytes:
    """The answer's bytes, up to the NUL that ends most, the end of the stream, or the end of a whole JSON object
    after which some firmware keeps the connection."""
    async with _connection(address, port) as (reader, writer):
        writer.write(question)
        data = bytearray()
        while chunk := await reader.read(65_536):
            data += chunk
            if 0 in chunk or _is_whole(data):
                break
            if len(data) > MOST_BYTES:
                raise TooMuch
    return bytes(data).partition(b"\0")[0]


async def exchange_framed(address: str, port: int, question: bytes) -> bytes:
    """As `exchange`, where the answer's length comes first, in four bytes, the lowest first."""
    async with _connection(address, port) as (reader, writer):
        writer.write(question)
        try:
            length = int.from_bytes(await reader.readexactly(4), "little")
            if length > MOST_BYTES:
                raise TooMuch
            return await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise BadReply("half an answer") from error


@contextlib.asynccontextmanager
async def _connection(address: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        raise MinerUnreachable(f"no connection to port {port}") from error
    try:
        yield reader, writer
    except OSError as error:
        raise MinerUnreachable("the connection broke") from error
    finally:
        writer.transport.abort()  # nothing is left to be sent, and a machine may never read it


def _is_whole(data: bytearray) -> bool:
    end = data.rstrip()
    return end.endswith(b"}") and end.count(b"{") == end.count(b"}")


def _parse(data: bytes) -> Answer:
    if not data.strip():
        raise MinerUnreachable("an empty answer")
    text = data.decode("utf-8", errors="replace")
    for candidate in (text, text.replace("}{", "},{")):  # bmminer leaves the comma between STATS out
        try:
            answer = json.loads(candidate, strict=False)  # Whatsminer has line breaks within strings
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict):
            return answer
    raise BadReply("an answer that is no JSON object")
