"""The routes of the pages, and the farm for who holds a token.

A page's frame has no data in it. Its script asks for the part inside with the token in a header and puts the answer in,
so that no cookie is needed and no address or log ever holds the token.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from backend.api.route import HTML, Call, Route
from backend.config import BackendSettings
from backend.console import files, frames, people, rendering
from backend.console.alarms import alarms
from backend.console.charts import charts, complete_until
from backend.console.overview import SILENT_AFTER, Farm, farm
from backend.console.view import View
from backend.ids import SiteId
from backend.registry import sites

_LINES: Final = 200
"""Rows that get a chart of their own."""


class Choice(files.Anything):
    """What a link of the page says."""

    state: str = ""
    sort: str = ""
    show: str = ""

    @property
    def view(self) -> View:
        return View.parse({"state": self.state, "sort": self.sort, "show": self.show})


async def farm_now(call: Call[Choice]) -> web.Response:
    """The farm as HTML to put into the frame; 304 when it is what the asker already shows."""
    view = call.query.view
    now_shown = await _farm(call)
    tag = _tag(now_shown, view)
    headers = {"ETag": tag, "Cache-Control": "private, no-store", "Vary": "Authorization"}
    if call.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=files.HEADERS | headers)
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
    return files.page(text, headers)


async def _farm(call: Call[Choice]) -> Farm:
    latest = await call.services.store.latest(call.account)
    told = await call.services.store.told(call.account, start=call.now - SILENT_AFTER, end=call.now + SILENT_AFTER)
    async with call.services.database.read() as session:
        names = {SiteId(site.id): site.name for site in await sites.listed(session, call.account)}
        fired = await alarms(session, call.account, now=call.now)
    return farm(latest, fired, names, told, now=call.now)


def _tag(shown: Farm, view: View) -> str:
    """Changes when anything shown does: a machine and a time have one reading, and ages are told by the browser."""
    above = f"{shown.totals} {shown.troubles} {shown.over}"
    seen = hashlib.sha256(f"{files.version()} {view.link} {sorted(shown.sites.items())} {above}".encode())
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
    *people.ROUTES,
    *files.ROUTES,
)
"""For the server's table of routes."""
