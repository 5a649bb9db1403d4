"""What pyasic may take from a machine: so many bytes, from that machine, and no redirect to anywhere else.

pyasic reads whatever comes, for as long as it comes, and follows redirects: a machine could fill the agent's
memory, hold its event loop with a huge document, or have it ask addresses outside the site.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import httpx

from agent.drivers import rpc
from agent.drivers.quiet import imported_quietly
from agent.errors import MinerUnreachable

with imported_quietly():
    from pyasic import settings

_V3_PORT: Final = 4433
_MOST_PACKED_BYTES: Final = rpc.MOST_BYTES // 16
"""Packed data grows up to a thousandfold."""
_asked: ContextVar[str | None] = ContextVar("asked", default=None)


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Within this, pyasic's web requests go to this address or nowhere."""
    token = _asked.set(address)
    try:
        yield
    finally:
        _asked.reset(token)


def bound_web() -> None:
    """Have all of pyasic's web requests made through `BoundedTransport`."""
    settings.transport = lambda verify=settings.ssl_cxt: BoundedTransport(verify=verify)


def bound_rpc(channel: Any, address: str) -> None:
    """Have the questions of one pyasic object asked by `rpc`."""
    if channel is not None:
        ask = rpc.exchange_framed if channel.port == _V3_PORT else rpc.exchange
        channel._send_bytes = partial(_send_bytes, ask, address, channel.port)


async def _send_bytes(
    ask: Any, address: str, usual_port: int, data: bytes, *, port: int | None = None, timeout: int = 0
) -> bytes:
    """In the shape of pyasic's own, which gives an empty object when nothing answers."""
    try:
        answer: bytes = await ask(address, port or usual_port, data)
    except MinerUnreachable:
        return b"{}"
    return answer


class BoundedTransport(httpx.AsyncHTTPTransport):
    """Refuses other hosts than the one that is asked, and answers of more than `rpc.MOST_BYTES`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != _asked.get():
            raise httpx.UnsupportedProtocol("the machine sent us elsewhere", request=request)
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        most = _MOST_PACKED_BYTES if "content-encoding" in response.headers else rpc.MOST_BYTES
        response.stream = _BoundedStream(response.stream, request, most)
        return response


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, request: httpx.Request, most: int) -> None:
        self._stream = stream
        self._request = request
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx.ReadError("the answer is too long", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
