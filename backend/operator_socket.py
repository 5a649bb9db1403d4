"""What the running service tells whoever runs it on the same machine: HTTP on a Unix socket in `data_dir`.

The service alone may open its files; commands ask it here instead. Who may use the socket is a matter of the folder
and the file, which are the service's user's: nobody else can connect, and there is nothing to log in with.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from pydantic import BaseModel

NAME: Final = "operator.sock"
_PATIENCE_S: Final = 60.0

Answer = Callable[[str], Awaitable[BaseModel]]
"""From what is asked about (an account's id) to what is told."""


class NotAnswered(Exception):
    """Nobody is there, or it went wrong; the message says so."""


@asynccontextmanager
async def answering(data_dir: Path, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
    """Answer `GET /<name>/<about>` until the block ends. Only one service a folder may do so (`serving_lock`)."""
    app = web.Application()
    for name, answer in answers.items():
        app.router.add_get(f"/{name}/{{about}}", _handler(answer))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    path = data_dir / NAME
    path.unlink(missing_ok=True)  # of a service that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        try:
            with _address(data_dir) as address:
                listening.bind(address)
            path.chmod(0o600)
            await web.SockSite(runner, listening).start()
            yield
        finally:
            await runner.cleanup()
            path.unlink(missing_ok=True)


async def ask(data_dir: Path, name: str, about: str) -> Any:
    """What the service that runs on this folder says, parsed. Raises `NotAnswered`."""
    with _address(data_dir) as address:
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(address), timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)
                ) as session,
                session.get(f"http://service/{name}/{about}") as response,
            ):
                if response.status != 200:
                    raise NotAnswered(f"the running service failed ({response.status}); its log says why")
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotAnswered(f"the running service does not answer ({type(error).__name__})") from error


def _handler(answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        told = await answer(request.match_info["about"])
        return web.Response(body=told.model_dump_json(), content_type="application/json")

    return handle


@contextmanager
def _address(data_dir: Path) -> Iterator[str]:
    """The socket's, by way of its open folder: a socket's own address has no room for long paths."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)
