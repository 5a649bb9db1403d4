"""Real servers on loopback that take messages, or do not, as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Behaviour = Literal["takes", "not now", "no such contact", "refuses the message", "dies in the middle", "hangs"]


@dataclass
class Gateway:
    """What a server does and what it took."""

    port: int = 0
    behaviour: Behaviour = "takes"
    arrived: list[tuple[str, str]] = field(default_factory=list)  # to, and id or text: also what was not acknowledged
    free: asyncio.Event = field(default_factory=asyncio.Event)  # lets go of those that hang
    entered: asyncio.Event = field(default_factory=asyncio.Event)  # somebody hangs


@dataclass
class MailServer(Gateway):
    """An SMTP server; `replies` overrides what it says to a command ("MAIL", "RCPT", "DATA")."""

    replies: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_MAIL(self, _s: Any, _session: Any, envelope: Envelope, address: str, _o: Any) -> str:  # noqa: N802
        if "MAIL" not in self.replies:
            envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, _s: Any, _session: Any, envelope: Envelope, address: str, _o: Any) -> str:  # noqa: N802
        if reply := self.replies.get("RCPT"):
            return reply
        if self.behaviour == "no such contact":
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if reply := self.replies.get("DATA"):
            return reply
        match self.behaviour:
            case "not now":
                return "451 4.3.0 try again later"
            case "refuses the message":
                return f"554 5.7.1 {envelope.rcpt_tos[0]}: this looks like spam"
            case _:
                self._take(envelope)
        if self.behaviour == "dies in the middle":
            assert server.transport
            server.transport.abort()
        if self.behaviour == "hangs":
            self.entered.set()
            await self.free.wait()
        return "250 taken"

    def authenticate(self, _s: Any, _session: Session, _e: Any, mechanism: str, data: Any) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"correct", handled=False)

    def _take(self, envelope: Envelope) -> None:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.raw.append(content)
        self.mails.append(mail)
        self.arrived.append((envelope.rcpt_tos[0], mail["Message-ID"]))


@contextlib.asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, *, wrapped: bool = False, login: bool = False
) -> AsyncIterator[MailServer]:
    """An SMTP server; with `tls` it offers STARTTLS, or speaks TLS from the first byte when `wrapped`."""
    made = MailServer()
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"hostname": "mail.invalid", "loop": loop}
    if login:
        options |= {"authenticator": made.authenticate, "auth_require_tls": False, "auth_required": True}
    if tls is not None and not wrapped:
        options |= {"tls_context": tls, "require_starttls": True}
    server = await loop.create_server(lambda: SMTP(made, **options), "127.0.0.1", 0, ssl=tls if wrapped else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.free.set()
        server.close()
        await server.wait_closed()


@dataclass
class SmsGateway(Gateway):
    """An SMS gateway in the shape of Twilio's message API; `answer` overrides status, headers and body."""

    answer: tuple[int, dict[str, str], str] | None = None
    logins: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.paths.append(request.path)
        self.forms.append(form)
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        self.logins.append(b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode())
        if self.answer is not None:
            status, headers, body = self.answer
            return web.Response(status=status, headers=headers, text=body)
        match self.behaviour:
            case "not now":
                return web.json_response({"code": 20429, "message": "Too Many Requests", "status": 429}, status=429)
            case "no such contact":
                message = f"The 'To' number {form['To']} is not a valid phone number."
                return web.json_response({"code": 21211, "message": message, "status": 400}, status=400)
            case "refuses the message":
                return web.json_response({"code": 21617, "message": "too long", "status": 400}, status=400)
            case _:
                self.arrived.append((form["To"], form["Body"]))
        if self.behaviour == "hangs":
            self.entered.set()
            await self.free.wait()
        if self.behaviour == "dies in the middle":
            response = web.StreamResponse(status=201, headers={"Content-Length": "100"})
            assert request.transport
            request.transport.abort()
            return response
        return web.json_response({"sid": f"SM{len(self.arrived):032d}", "status": "queued"}, status=201)


@contextlib.asynccontextmanager
async def sms_gateway() -> AsyncIterator[SmsGateway]:
    """A listening gateway."""
    made = SmsGateway()
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", made.messages)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        made.free.set()
        await runner.cleanup()
