"""Asking a machine over a bare socket, so that tests see what is on the wire and not what a library makes of it."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

DEADLINE_S = 10.0


async def exchange(address: str, port: int, request: bytes) -> bytes:
    """Send these bytes, return everything until the other side closes."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


async def rpc(address: str, command: str, **parameters: Any) -> Any:
    """One JSON command on port 4028, the answer parsed."""
    answer = await exchange(address, 4028, json.dumps({"command": command, **parameters}).encode())
    return json.loads(answer.rstrip(b"\0"))


async def v3(address: str, *requests: dict[str, Any]) -> list[Any]:
    """Version 3 requests, all on one connection, the answers parsed."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(address, 4433)
        try:
            answers = []
            for request in requests:
                body = json.dumps(request).encode()
                writer.write(struct.pack("<I", len(body)) + body)
                (length,) = struct.unpack("<I", await reader.readexactly(4))
                answers.append(json.loads(await reader.readexactly(length)))
            return answers
        finally:
            writer.close()


async def http(address: str, path: str, *, port: int = 80) -> tuple[int, bytes]:
    """One GET without credentials: status and body."""
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
    head, _, body = (await exchange(address, port, request)).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def until(condition: Any, *, deadline_s: float = DEADLINE_S) -> Any:
    """Poll an async condition until it is true; its value."""
    async with asyncio.timeout(deadline_s):
        while True:
            if value := await condition():
                return value
            await asyncio.sleep(0.02)
