"""The on-site page's own port: its routes, and the listening that follows the settings and the password file."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agent import disclosures
from agent.config import Lan
from agent.errors import DiskTrouble, Misconfigured
from agent.lan import pages
from agent.lan.desk import Desk, unpack
from agent.lan.gate import HEADERS, Gate
from agent.lan.meters import Meters
from agent.lan.pages import Look, Name
from agent.lan.password import Password
from agent.pause import Pause
from agent.status import Status

_LOOK_AGAIN_S: Final = 5.0
_MOST_BODY: Final = 4_096
_NOTE_AGAIN: Final = timedelta(minutes=10)
_FILES: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}

log = structlog.get_logger()


@dataclass(frozen=True)
class Sources:
    """Where the page's content comes from: the running agent."""

    status: Callable[[], Status]
    names: Callable[[str], Name | None]
    desk: Desk
    meters: Meters
    pause: Pause
    clock: Callable[[], datetime]
    disclosures: Path
    """Where it is kept who looked behind a pseudonym."""


class LanPage:
    """Serves while there is a password. A port that cannot be had is said once and tried again: polling goes on."""

    def __init__(
        self, settings: Lan, password: Password, sources: Sources, look_again_s: float = _LOOK_AGAIN_S
    ) -> None:
        self._settings = settings
        self._password = password
        self._sources = sources
        self._look_again_s = look_again_s
        self._changed = asyncio.Event()
        self._trouble = ""

    def apply(self, settings: Lan) -> None:
        """Go by these settings from now on."""
        if settings != self._settings:
            self._settings = settings
            self._changed.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        if not self._password.is_set():
            log.info("lan.closed", hint="the on-site page opens once it has a password: itsminer-agent lan-password")
        while True:
            self._changed.clear()
            if self._password.is_set():
                try:
                    async with self._serving():
                        self._trouble = ""
                        await self._changed.wait()
                except (OSError, Misconfigured) as error:
                    self._say(error)
            await self._a_while()

    async def _a_while(self) -> None:
        try:
            async with asyncio.timeout(self._look_again_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _say(self, error: OSError | Misconfigured) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if why != self._trouble:
            log.error("lan.cannot_listen", port=self._settings.port, why=why)
        self._trouble = why

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        settings = self._settings
        tls = await asyncio.to_thread(context, settings)
        gate = Gate(self._password, settings.names, time.monotonic)
        runner = web.AppRunner(
            _Site(self._sources, gate).app(), access_log=None, shutdown_timeout=1, keepalive_timeout=30
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, str(settings.host), settings.port, ssl_context=tls).start()
            in_clear = tls is None and not settings.host.is_loopback
            log.info("lan.open", port=settings.port, tls=tls is not None)
            if in_clear:
                log.warning("lan.in_clear", hint="the password crosses the network as it is; set lan.certificate_file")
            yield
        finally:
            await runner.cleanup()


def context(settings: Lan) -> ssl.SSLContext | None:
    """TLS by the settings' certificate; None without one. Raises `Misconfigured`."""
    if settings.certificate_file is None or settings.key_file is None:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise Misconfigured(
            f"lan.certificate_file {settings.certificate_file} and lan.key_file cannot be used: {reason}"
        ) from error
    return made


class _Site:
    """The routes."""

    def __init__(self, sources: Sources, gate: Gate) -> None:
        self._from = sources
        self._gate = gate
        self._noted: dict[tuple[str, str], datetime] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_MOST_BODY, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._overview),
                web.get("/machines", self._machines),
                web.get("/m/{pseudonym}", self._machine),
                web.get("/sent", self._sent),
                web.get("/sent/{batch}", self._whole),
                web.post("/pause", self._pause),
                web.post("/resume", self._resume),
                web.get("/metrics", self._metrics),
                web.get("/static/{name}", self._file),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nobody gets past it without the right name and the password, and every answer has the headers."""
        try:
            answer = await self._refusal(request) or await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        except DiskTrouble as error:
            answer = web.Response(status=503, text=f"What has to be kept cannot be: {error}")
        answer.headers.update(HEADERS)
        return answer

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if not self._gate.knows_host(request.host):
            return web.Response(
                status=421, text="This computer is not known by that name; see lan.names in agent.toml."
            )
        return await self._gate.refusal(request.headers.get("Authorization"), request.remote or "")

    def _look(self) -> Look:
        return Look(self._from.status(), self._from.clock(), self._gate.form_token)

    async def _overview(self, _: web.Request) -> web.Response:
        return _html(pages.overview(self._look(), self._from.desk.machines))

    async def _machines(self, request: web.Request) -> web.Response:
        look, asked = self._look(), request.query.get("q", "").strip()[:200]
        everything = request.query.get("show") == "all"
        machines = dict(self._from.desk.machines)
        await self._note(request, "all machines")

        def made() -> str:
            found = pages.search(pages.rows(machines, self._from.names), asked)
            return pages.listed(look, found, asked=asked, everything=everything)

        return _html(await asyncio.to_thread(made))  # ten thousand machines take a tenth of a second

    async def _machine(self, request: web.Request) -> web.Response:
        pseudonym = request.match_info["pseudonym"].strip().lower()[:64]
        name = self._from.names(pseudonym)
        if name is None:
            return _html(pages.unknown(self._look(), pseudonym), status=404)
        await self._note(request, pseudonym)
        seen = self._from.desk.machines.get(pseudonym)
        return _html(pages.one(self._look(), pseudonym, seen, name, self._from.names))

    async def _note(self, request: web.Request, what: str) -> None:
        """Keep that somebody looked, and from where; once in a while is enough of a page that renews itself."""
        now, seen_from = self._from.clock(), request.remote or ""
        last = self._noted.get((seen_from, what))
        if last is not None and timedelta() <= now - last < _NOTE_AGAIN:
            return
        details = {"pseudonym": what, "seen_from": seen_from}
        await asyncio.to_thread(disclosures.note, self._from.disclosures, now, "on-site page", **details)
        self._noted[seen_from, what] = now

    async def _sent(self, _: web.Request) -> web.Response:
        look, requests = self._look(), self._from.desk.sent
        return _html(await asyncio.to_thread(lambda: pages.sent(look, [(one, unpack(one)) for one in requests])))

    async def _whole(self, request: web.Request) -> web.Response:
        for sent in self._from.desk.sent:
            if sent.id == request.match_info["batch"]:
                content = await asyncio.to_thread(unpack, sent)
                return web.Response(body=content.text, content_type="application/json", charset="utf-8")
        raise web.HTTPNotFound(text="That request is not among the last ones any more.")

    async def _pause(self, request: web.Request) -> web.Response:
        return await self._switch(request, self._from.pause.begin)

    async def _resume(self, request: web.Request) -> web.Response:
        return await self._switch(request, self._from.pause.end)

    async def _switch(self, request: web.Request, act: Callable[[], Awaitable[None]]) -> web.Response:
        if not self._gate.is_own_form(request, (await request.post()).get("token")):
            return web.Response(status=403, text="That did not come from this page. Load it again, and press again.")
        await act()
        raise web.HTTPSeeOther("/")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._from.meters.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound
        body = (files("agent.lan") / "static" / name).read_bytes()
        return web.Response(body=body, content_type=_FILES[name], charset="utf-8")


def _html(text: str, status: int = 200) -> web.Response:
    response = web.Response(text=text, status=status, content_type="text/html")
    response.enable_compression()
    return response
