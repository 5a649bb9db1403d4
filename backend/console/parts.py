"""The insides of pages: what the API answers, as HTML that the page's script puts in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from backend.accounts.rights import RIGHTS, Access
from backend.api import authentication
from backend.api.asking import tongue as tongue_of
from backend.api.route import HTML, Call, Query, Route
from backend.console import files, rendering

_HEADERS: Final = {"Cache-Control": "private, no-store", "Vary": "Authorization, Accept-Language"}

Shows = Callable[[Call[Any]], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The inside of the page `/<name>`, of the template `parts/<name>.html`; `shows` gives what is filled in.

    It shows what the API answers and its forms send what the API takes: what a page can do, any program can.
    """

    name: str
    title: str
    access: Access
    summary: str
    shows: Shows
    query: type[Query] = files.Anything

    @property
    def route(self) -> Route[Any]:
        """`GET /console/<name>`."""
        return Route(
            method="GET",
            path=f"/console/{self.name}",
            handler=self._handler,
            access=self.access,
            summary=self.summary,
            query=self.query,
            media_type=HTML,
            problems=(404,) if self.query is not files.Anything else (),
        )

    async def _handler(self, call: Call[Any]) -> web.Response:
        """The inside as HTML."""
        tongue = tongue_of(call)
        shown = await self.shows(call)
        return files.page(rendering.part(self.name, tongue, **shown), _HEADERS)


def may(call: Call[Any], access: Access) -> bool:
    """Whether who asks may: what they may not do, a page does not offer."""
    return authentication.may(call.bearer_known, RIGHTS[access])
