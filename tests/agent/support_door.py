"""Where support bundles go in tests: a real server on loopback that takes them, or answers as it is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import zstandard
from aiohttp import web


@dataclass
class Door:
    """A backend that takes support bundles, or answers as it is told."""

    url: str = ""
    answers: list[Callable[[], web.StreamResponse]] = field(default_factory=list)
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def support(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        bundle = json.loads(zstandard.ZstdDecompressor().decompress(await request.read()))
        known = bundle["id"] in self.taken
        self.taken[bundle["id"]] = bundle
        if self.answers:
            return self.answers.pop(0)()
        body = {"id": bundle["id"], "kept_until": "2026-01-31T00:00:00Z", "later": "field"}
        return web.json_response(body, status=200 if known else 201)


@contextlib.asynccontextmanager
async def opened(*answers: Callable[[], web.StreamResponse]) -> AsyncIterator[Door]:
    door = Door(answers=list(answers))
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/support", door.support)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield door
    finally:
        await runner.cleanup()
