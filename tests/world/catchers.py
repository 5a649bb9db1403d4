"""Real servers that catch what the backend sends: an SMTP server and an SMS gateway."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope


@dataclass
class Mailbox:
    """Mails in the order in which the SMTP server took them."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    caught_at: list[float] = field(default_factory=list)  # monotonic seconds, one a mail

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(data, policy=policy.default) for data in self.raw]

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        content = envelope.content or b""
        self.caught_at.append(time.monotonic())
        self.raw.append(content if isinstance(content, bytes) else content.encode())
        return "250 taken"


@contextlib.asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """An SMTP server on loopback that takes every mail."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="catcher.invalid", loop=loop), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class Phone:
    """Texts in the order in which the gateway took them; `raw` has the request bodies."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    caught_at: list[float] = field(default_factory=list)  # monotonic seconds, one a text

    @property
    def texts(self) -> list[str]:
        return [parse_qs(body.decode())["Body"][0] for body in self.raw]


@contextlib.asynccontextmanager
async def phone() -> AsyncIterator[Phone]:
    """An SMS gateway in the shape of Twilio's message API."""
    caught = Phone()

    async def messages(request: web.Request) -> web.Response:
        caught.raw.append(await request.read())
        caught.caught_at.append(time.monotonic())
        return web.json_response({"sid": f"SM{len(caught.raw):032d}", "status": "queued"}, status=201)

    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", messages)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    caught.port = runner.addresses[0][1]
    try:
        yield caught
    finally:
        await runner.cleanup()
