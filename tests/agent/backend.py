"""A backend for the agent's tests: a real server on loopback that answers as it is told and keeps what it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import zstandard
from aiohttp import web

from agent.wire import Batch, decode


@dataclass
class Backend:
    """`answers` are used up one a request; after the last, every batch is stored, by its id as in the real one."""

    url: str = ""
    answers: list[Callable[[], web.StreamResponse] | str] = field(default_factory=list)
    stored: dict[UUID, Batch] = field(default_factory=dict)
    arrived: list[Batch] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    enrolments: list[dict[str, Any]] = field(default_factory=list)

    async def batches(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.headers) | {"path": request.path})
        batch = unpacked(await request.read())
        self.arrived.append(batch)
        answer = self.answers.pop(0) if self.answers else "store"
        if answer == "hang":
            await asyncio.Event().wait()
        if answer in ("store", "store and die"):
            known = batch.id in self.stored
            self.stored[batch.id] = batch
            if answer == "store and die":
                assert request.transport is not None
                request.transport.close()
            return web.json_response({"stored": not known, "readings": len(batch.readings)})
        assert callable(answer)
        return answer()

    async def enroll(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.headers) | {"path": request.path})
        self.enrolments.append(await request.json())
        answer = self.answers.pop(0) if self.answers else None
        if callable(answer):
            return answer()
        granted = {"account": "acc_0000000000000001", "site": "sit_0000000000000001", "site_name": "North hall"}
        return web.json_response(granted | {"token": "tok_0123456789abcdef", "contract": 1}, status=201)


def says(status: int, body: str = "", content_type: str = "text/plain", **headers: str) -> Callable[[], web.Response]:
    """An answer for `Backend.answers`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: web.Response(status=status, text=body, content_type=content_type, headers=named)


def problem(status: int, detail: str, **headers: str) -> Callable[[], web.Response]:
    """A problem+json answer as the real backend gives them."""
    body = json.dumps({"type": "about:blank", "title": "No", "status": status, "detail": detail})
    return says(status, body, "application/problem+json", **headers)


@contextlib.asynccontextmanager
async def serving(backend: Backend, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Backend]:
    """Serve on a free port of 127.0.0.1; stops at once, whoever hangs on."""
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/batches", backend.batches)
    app.router.add_post("/v1/enroll", backend.enroll)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    backend.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield backend
    finally:
        await runner.cleanup()


def unpacked(data: bytes) -> Batch:
    """A request's body as it went over the wire."""
    return decode(zstandard.ZstdDecompressor().decompress(data))
