"""The pages without anybody's data: what a page shows of an account, its script asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from backend.api.asking import tongue as tongue_of
from backend.api.route import HTML, Call, Route
from backend.api.visits import VISIT
from backend.console import costs, declaring, files, machine, people, privacy, rendering, telling, warning
from backend.console.parts import Part

_FRAMES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("page", "The first page; its farm comes from /console/farm"),
    "/register": ("register", "The page that opens an account"),
    "/verify": ("verify", "The page that takes the code from a text"),
    "/login": ("login", "The page that logs people in"),
    "/forgot": ("forgot", "The page that sends a link to set a new password"),
    "/confirm": ("confirm", "The page that links of our mails open"),
}
"""Path → template, and what it is."""
PARTS: Final[Sequence[Part]] = (
    *costs.PARTS, *machine.PARTS, *warning.PARTS, *telling.PARTS, *declaring.PARTS, *privacy.PARTS, *people.PARTS,
)  # fmt: skip
"""Pages whose inside is asked for with a token."""


def _frame(path: str, template: str, title: str = "") -> Callable[[Call[Any]], Awaitable[web.Response]]:
    async def handler(call: Call[Any]) -> web.Response:
        contact = call.services.settings.contact
        text = rendering.frame(
            tongue_of(call),
            contact_name=contact.name,
            contact_email=contact.email,
            version=files.version(),
            template=template,
            page=path.removeprefix("/"),
            title=title,
            visit=call.request[VISIT],
        )
        return files.page(text, {"Cache-Control": "no-cache", "Vary": "Accept-Language"})

    handler.__doc__ = f"The page `{path}`."
    return handler


def _route(path: str, summary: str, handler: Callable[[Call[Any]], Awaitable[web.Response]]) -> Route[Any]:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        access="public",
        summary=summary,
        query=files.Anything,
        media_type=HTML,
    )


ROUTES: Final[Sequence[Route[Any]]] = (
    *(_route(path, summary, _frame(path, template)) for path, (template, summary) in _FRAMES.items()),
    *(
        _route(f"/{part.name}", f"The page for it: {part.summary}", _frame(f"/{part.name}", "inside", part.title))
        for part in PARTS
    ),
    *(part.route for part in PARTS),
)
"""One for each page, and one for each inside."""
