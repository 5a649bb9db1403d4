"""Whether anything is at an address, before more is spent on it: a connection, or a first byte of an answer."""

from __future__ import annotations

import asyncio
from typing import Final

PORTS: Final = (4028, 80, 4433)
"""Where miners listen: cgminer's API, the web page, Whatsminer's third API."""

_V3_QUESTION: Final = b'{"cmd":"get.device.info"}'
_QUESTIONS: Final = {
    4028: b'{"command":"version"}',
    80: b"GET / HTTP/1.0\r\n\r\n",
    4433: len(_V3_QUESTION).to_bytes(4, "little") + _V3_QUESTION,
}


async def is_open(address: str, port: int, limit_s: float) -> bool:
    """Whether the port accepts a connection in time."""
    try:
        async with asyncio.timeout(limit_s):
            return await _first_byte(address, port, wants_answer=False)
    except TimeoutError:
        return False


async def speaks(address: str, limit_s: float) -> bool:
    """Whether a port of a miner answers a question with at least one byte in time. A machine that accepts and never
    answers does not speak."""
    questions = [asyncio.ensure_future(_first_byte(address, port, wants_answer=True)) for port in PORTS]
    try:
        async with asyncio.timeout(limit_s):
            for first in asyncio.as_completed(questions):
                if await first:
                    return True
    except TimeoutError:
        pass
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
    return False


async def _first_byte(address: str, port: int, *, wants_answer: bool) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    try:
        if not wants_answer:
            return True
        writer.write(_QUESTIONS[port])
        return bool(await reader.read(1))
    except OSError:
        return False
    finally:
        writer.transport.abort()
