"""The routes of the first page: its frame and files for everybody, the farm for who holds a read token.

The frame has no data in it. Its script asks for `/console/farm` with the token in a header and puts the
answer in, so that no cookie is needed and no address or log ever holds the token.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from pydantic import ConfigDict

from backend.api.route import HTML, Call, Query, Route
from backend.api.visits import VISIT
from backend.config import BackendSettings
from backend.console import rendering
from backend.console.alarms import alarms
from backend.console.charts import charts, complete_until
from backend.console.overview import SILENT_AFTER, Farm, farm
from backend.console.view import View
from backend.ids import SiteId
from backend.registry import sites

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from anyone else, in nobody's frame."""

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_FILES: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "confirm.js": "text/javascript",
    "visit.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_LINES: Final = 200
"""Rows that get a chart of their own."""


class Choice(Query):
    """What a link of the page says. Anything else in it is passed over: old links and bookmarks go on working."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: str = ""
    sort: str = ""
    show: str = ""

    @property
    def view(self) -> View:
        return View.parse({"state": self.state, "sort": self.sort, "show": self.show})


def _frame(page: str) -> Callable[[Call[Choice]], Awaitable[web.Response]]:
    """A page without anybody's data; what it shows of an account, its script asks for."""

    async def handler(call: Call[Choice]) -> web.Response:
        contact = call.services.settings.contact
        text = rendering.frame(
            contact_name=contact.name,
            contact_email=contact.email,
            version=_version(),
            page=page,
            visit=call.request[VISIT],
        )
        return _page(text, {"Cache-Control": "no-cache"})

    handler.__doc__ = f"The page `{page}`."
    return handler


async def farm_now(call: Call[Choice]) -> web.Response:
    """The farm as HTML to put into the frame; 304 when it is what the asker already shows."""
    view = call.query.view
    now_shown = await _farm(call)
    tag = _tag(now_shown, view)
    headers = {"ETag": tag, "Cache-Control": "private, no-store", "Vary": "Authorization"}
    if call.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=_HEADERS | headers)
    chosen = view.pick(now_shown.machines)
    rows = chosen if view.everything else chosen[: rendering.ROWS]
    lines = await charts(
        call.services.store,
        call.account,
        [machine.id for machine in rows[:_LINES]],
        until=complete_until((m.reading.time for m in now_shown.machines), fresh_since=call.now - SILENT_AFTER),
        now=call.now,
    )
    # A thread, so that batches are taken in meanwhile: a thousand rows take a third of a second.
    text = await asyncio.to_thread(
        rendering.farm,
        now_shown,
        view,
        rows,
        chosen=len(chosen),
        charts=lines,
        backend_url=_backend_url(call.services.settings, call),
    )
    return _page(text, headers)


async def _farm(call: Call[Choice]) -> Farm:
    latest = await call.services.store.latest(call.account)
    async with call.services.database.read() as session:
        names = {SiteId(site.id): site.name for site in await sites.listed(session, call.account)}
        told = await alarms(session, call.account, now=call.now)
    return farm(latest, told, names, now=call.now)


def _tag(shown: Farm, view: View) -> str:
    """Changes when anything shown does: a machine and a time have one reading, and ages are told by the browser."""
    seen = hashlib.sha256(
        f"{_version()} {view.link} {sorted(shown.sites.items())} {shown.troubles} {shown.over}".encode()
    )
    for machine in shown.machines:
        seen.update(f"{machine.id} {machine.state} {machine.reading.time.timestamp()}\n".encode())
    return f'"{seen.hexdigest()[:32]}"'


def _backend_url(settings: BackendSettings, call: Call[Any]) -> str:
    return settings.public_url or str(call.request.url.origin())


def _page(text: str, headers: dict[str, str]) -> web.Response:
    response = web.Response(text=text, content_type=HTML, headers=_HEADERS | headers)
    response.enable_compression()
    return response


def _file(name: str, media_type: str) -> Callable[[Call[Choice]], Awaitable[web.Response]]:
    async def handler(call: Call[Choice]) -> web.Response:
        body = _read(name)
        response = web.Response(
            body=body,
            content_type=media_type,
            charset="utf-8",
            # The address changes with the content, so that a browser may keep it.
            headers=_HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"},
        )
        response.enable_compression()
        return response

    handler.__doc__ = f"The page's {name}."
    return handler


@cache
def _read(name: str) -> bytes:
    return (files("backend.console") / "static" / name).read_bytes()


@cache
def _version() -> str:
    """Of the page: changes with the program or with any of its files."""
    content = hashlib.sha256(version("itsminer").encode())
    for name in _FILES:
        content.update(_read(name))
    return content.hexdigest()[:12]


ROUTES: Final[Sequence[Route[Any]]] = (
    Route(
        method="GET",
        path="/",
        handler=_frame("page"),
        access="public",
        summary="The first page; its farm comes from /console/farm",
        query=Choice,
        media_type=HTML,
    ),
    Route(
        method="GET",
        path="/confirm",
        handler=_frame("confirm"),
        access="public",
        summary="The page that links of our mails open",
        query=Choice,
        media_type=HTML,
    ),
    Route(
        method="GET",
        path="/console/farm",
        handler=farm_now,
        access="read",
        summary="The farm now, as HTML for the first page",
        query=Choice,
        media_type=HTML,
    ),
    *(
        Route(
            method="GET",
            path=f"/static/{name}",
            handler=_file(name, media_type),
            access="public",
            summary=f"The page's {name}",
            query=Choice,
            media_type=media_type,
        )
        for name, media_type in _FILES.items()
    ),
)
"""For the server's table of routes."""
