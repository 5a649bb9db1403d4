"""The routes of the pages, and the farm for who holds a token.

A page's frame has no data in it. Its script asks for the part inside with the token in a header and puts the answer in,
so that no cookie is needed and no address or log ever holds the token.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from backend.api.asking import tongue as tongue_of
from backend.api.route import HTML, Call, Route
from backend.config import BackendSettings
from backend.console import files, frames, rendering
from backend.console.alarms import alarms
from backend.console.charts import charts, complete_until
from backend.console.overview import SILENT_AFTER, Farm, farm
from backend.console.view import View
from backend.ids import SiteId
from backend.registry import sites


class Choice(files.Anything):
    """What a link of the page says."""

    state: str = ""
    sort: str = ""
    site: str = ""
    q: str = ""
    page: str = ""

    @property
    def view(self) -> View:
        return View.parse(self.model_dump())


async def farm_now(call: Call[Choice]) -> web.Response:
    """The farm as HTML to put into the frame; 304 when it is what the asker already shows."""
    view, tongue = call.query.view, tongue_of(call)
    now_shown = await _farm(call)
    tag = _tag(now_shown, view, tongue.code)
    headers = {"ETag": tag, "Cache-Control": "private, no-store", "Vary": "Authorization, Accept-Language"}
    if call.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=files.HEADERS | headers)
    chosen = view.pick(now_shown.machines)
    view = replace(view, page=min(view.page, max(1, -(-len(chosen) // rendering.ROWS))))  # the last one there is
    rows = chosen[(view.page - 1) * rendering.ROWS : view.page * rendering.ROWS]
    lines = await charts(
        call.services.store,
        call.account,
        [machine.id for machine in rows],
        until=complete_until((m.reading.time for m in now_shown.machines), fresh_since=call.now - SILENT_AFTER),
        now=call.now,
    )
    # A thread, so that batches are taken in meanwhile: a hundred rows take some ten milliseconds.
    text = await asyncio.to_thread(
        rendering.farm,
        tongue,
        now_shown,
        view,
        rows,
        chosen=len(chosen),
        charts=lines,
        backend_url=_backend_url(call.services.settings, call),
    )
    return files.page(text, headers)


async def _farm(call: Call[Choice]) -> Farm:
    latest = await call.services.store.latest(call.account)
    told = await call.services.store.told(call.account, start=call.now - SILENT_AFTER, end=call.now + SILENT_AFTER)
    async with call.services.database.read() as session:
        names = {SiteId(site.id): site.name for site in await sites.listed(session, call.account)}
        fired = await alarms(session, call.account, now=call.now)
    return farm(latest, fired, names, told, now=call.now)


def _tag(shown: Farm, view: View, language: str) -> str:
    """Changes when anything shown does: a machine and a time have one reading, and ages are told by the browser."""
    above = f"{shown.totals} {shown.troubles} {shown.over}"
    seen = hashlib.sha256(f"{files.version()} {language} {view.link} {sorted(shown.sites.items())} {above}".encode())
    for machine in shown.machines:
        seen.update(f"{machine.id} {machine.state} {machine.reading.time.timestamp()}\n".encode())
    return f'"{seen.hexdigest()[:32]}"'


def _backend_url(settings: BackendSettings, call: Call[Any]) -> str:
    return settings.public_url or str(call.request.url.origin())


ROUTES: Final[Sequence[Route[Any]]] = (
    *frames.ROUTES,
    Route(
        method="GET",
        path="/console/farm",
        handler=farm_now,
        access="read",
        summary="The farm now, as HTML for the first page",
        query=Choice,
        media_type=HTML,
    ),
    *files.ROUTES,
)
"""For the server's table of routes."""
