"""What every page is made with: its headers, its policy, its files under addresses of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version as version_of
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from pydantic import ConfigDict

from backend.api.route import HTML, Call, Query, Route

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from anyone else, in nobody's frame; forms are sent by scripts, with a token."""

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_FILES: Final = {
    "page.css": "text/css",
    "forms.css": "text/css",
    "page.js": "text/javascript",
    "forms.js": "text/javascript",
    "confirm.js": "text/javascript",
    "visit.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Anything(Query):
    """A page passes over what its link says beyond what it knows: old links and bookmarks go on working."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def page(text: str, headers: Mapping[str, str]) -> web.Response:
    """A page, or a part of one."""
    response = web.Response(text=text, content_type=HTML, headers={**HEADERS, **headers})
    response.enable_compression()
    return response


@cache
def version() -> str:
    """Of the pages: changes with the program or with any of its files."""
    content = hashlib.sha256(version_of("itsminer").encode())
    for name in _FILES:
        content.update(_read(name))
    return content.hexdigest()[:12]


@cache
def _read(name: str) -> bytes:
    return (files("backend.console") / "static" / name).read_bytes()


def _file(name: str, media_type: str) -> Callable[[Call[Any]], Awaitable[web.Response]]:
    async def handler(_call: Call[Any]) -> web.Response:
        response = web.Response(
            body=_read(name),
            content_type=media_type,
            charset="utf-8",
            # The address changes with the content, so that a browser may keep it.
            headers=HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"},
        )
        response.enable_compression()
        return response

    handler.__doc__ = f"The pages' {name}."
    return handler


ROUTES: Final[Sequence[Route[Any]]] = tuple(
    Route(
        method="GET",
        path=f"/static/{name}",
        handler=_file(name, media_type),
        access="public",
        summary=f"The pages' {name}",
        query=Anything,
        media_type=media_type,
    )
    for name, media_type in _FILES.items()
)
"""One for each file."""
