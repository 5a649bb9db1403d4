"""The pages without anybody's data: what a page shows of an account, its script asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from backend.api.route import HTML, Call, Route
from backend.api.visits import VISIT
from backend.console import files, rendering

_PAGES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("page", "The first page; its farm comes from /console/farm"),
    "/register": ("register", "The page that opens an account"),
    "/verify": ("verify", "The page that takes the code from a text"),
    "/login": ("login", "The page that logs people in"),
    "/forgot": ("forgot", "The page that sends a link to set a new password"),
    "/confirm": ("confirm", "The page that links of our mails open"),
    "/account": ("account", "The page of one's own log-in; its inside comes from /console/account"),
    "/manage": ("manage", "The page of an account's sites, members, tokens; its inside comes from /console/manage"),
}
"""Path → template, and what it is."""


def _frame(name: str) -> Callable[[Call[Any]], Awaitable[web.Response]]:
    async def handler(call: Call[Any]) -> web.Response:
        contact = call.services.settings.contact
        text = rendering.frame(
            contact_name=contact.name,
            contact_email=contact.email,
            version=files.version(),
            page=name,
            visit=call.request[VISIT],
        )
        return files.page(text, {"Cache-Control": "no-cache"})

    handler.__doc__ = f"The page `{name}`."
    return handler


ROUTES: Final[Sequence[Route[Any]]] = tuple(
    Route(
        method="GET",
        path=path,
        handler=_frame(name),
        access="public",
        summary=summary,
        query=files.Anything,
        media_type=HTML,
    )
    for path, (name, summary) in _PAGES.items()
)
"""One for each page."""
