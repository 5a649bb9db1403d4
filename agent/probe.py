"""Whether anything is at an address, before more is spent on it: a connection, or a first byte of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Final

from agent.drivers import rpc
from agent.errors import BadReply, MinerUnreachable, TooMuch

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
    return await _any([_first_byte(address, port, wants_answer=True) for port in PORTS], limit_s)


async def floods(address: str, limit_s: float) -> bool:
    """Whether a port of a miner answers a question with more than any machine has to say, in time."""
    return await _any([_is_too_much(address, port) for port in PORTS], limit_s)


async def _any(questions: Iterable[Coroutine[None, None, bool]], limit_s: float) -> bool:
    """Whether one of them says yes in time. None goes on after that."""
    asked = [asyncio.ensure_future(question) for question in questions]
    try:
        async with asyncio.timeout(limit_s):
            for first in asyncio.as_completed(asked):
                if await first:
                    return True
    except TimeoutError:
        pass
    finally:
        for question in asked:
            question.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return False


async def _is_too_much(address: str, port: int) -> bool:
    try:
        await rpc.exchange(address, port, _QUESTIONS[port])
    except TooMuch:
        return True
    except (BadReply, MinerUnreachable):
        pass
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
