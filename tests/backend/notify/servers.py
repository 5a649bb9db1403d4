"""Real servers on loopback that take messages, or do not, as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal, TypeVar

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Authority = Callable[[str], ssl.SSLContext]
"""Makes a server's context for an address or name."""

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
class HttpGateway(Gateway):
    """An HTTP server that takes messages; its subclasses say how it reads and answers. `answer` overrides all."""

    answer: tuple[int, dict[str, str], str] | None = None
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if self.answer is not None:
            status, headers, body = self.answer
            return web.Response(status=status, headers=headers, text=body)
        if (refused := self.refused(request)) is not None:
            return refused
        self.arrived.append(self.told(request))
        if self.behaviour == "hangs":
            self.entered.set()
            await self.free.wait()
        if self.behaviour == "dies in the middle":
            response = web.StreamResponse(status=201, headers={"Content-Length": "100"})
            assert request.transport
            request.transport.abort()
            return response
        return self.taken()

    def refused(self, request: web.Request) -> web.Response | None:
        raise NotImplementedError

    def told(self, request: web.Request) -> tuple[str, str]:
        raise NotImplementedError

    def taken(self) -> web.Response:
        return web.json_response({}, status=201)


class SmsGateway(HttpGateway):
    """In the shape of Twilio's message API."""

    def refused(self, request: web.Request) -> web.Response | None:
        form = self.forms[-1]
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        self.logins.append(b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode())
        match self.behaviour:
            case "not now":
                return web.json_response({"code": 20429, "message": "Too Many Requests", "status": 429}, status=429)
            case "no such contact":
                message = f"The 'To' number {form['To']} is not a valid phone number."
                return web.json_response({"code": 21211, "message": message, "status": 400}, status=400)
            case "refuses the message":
                return web.json_response({"code": 21617, "message": "too long", "status": 400}, status=400)
        return None

    def told(self, request: web.Request) -> tuple[str, str]:
        return self.forms[-1]["To"], self.forms[-1]["Body"]

    def taken(self) -> web.Response:
        return web.json_response({"sid": f"SM{len(self.arrived):032d}", "status": "queued"}, status=201)


class VonageGateway(HttpGateway):
    """In the shape of Vonage's SMS API: 200 whatever happens."""

    def refused(self, request: web.Request) -> web.Response | None:
        statuses: dict[Behaviour, str] = {"not now": "1", "no such contact": "7", "refuses the message": "3"}
        status = statuses.get(self.behaviour)
        return None if status is None else self.say(status)

    def told(self, request: web.Request) -> tuple[str, str]:
        return f"+{self.forms[-1]['to']}", self.forms[-1]["text"]

    def taken(self) -> web.Response:
        return self.say("0")

    def say(self, *statuses: str) -> web.Response:
        parts = [{"to": self.forms[-1]["to"], "status": status, "error-text": "…"} for status in statuses]
        return web.json_response({"message-count": str(len(parts)), "messages": parts})


class WebGateway(HttpGateway):
    """Any other: plain statuses, the message's id in a header."""

    def refused(self, request: web.Request) -> web.Response | None:
        statuses: dict[Behaviour, int] = {"not now": 503, "no such contact": 410, "refuses the message": 422}
        status = statuses.get(self.behaviour)
        return None if status is None else web.Response(status=status, text=f"status {status}")

    def told(self, request: web.Request) -> tuple[str, str]:
        return request.headers.get("X-To", str(request.url)), self.bodies[-1].decode()


HTTP = TypeVar("HTTP", bound=HttpGateway)


@contextlib.asynccontextmanager
async def http_gateway(kind: type[HTTP]) -> AsyncIterator[HTTP]:
    """A listening gateway."""
    made = kind()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        made.free.set()
        await runner.cleanup()


def sms_gateway() -> contextlib.AbstractAsyncContextManager[SmsGateway]:
    """Twilio's."""
    return http_gateway(SmsGateway)
