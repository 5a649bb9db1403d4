"""Log data of the pages, kept unless the browser asks for none (`DNT: 1`, `Sec-GPC: 1`), and shown to who oversees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import structlog
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints
from sqlalchemy.exc import SQLAlchemyError

from backend import ids
from backend.api.rates import Rate, address, sender
from backend.api.registering import Body, body, done, limit
from backend.api.route import HTML, Call, Query, Route
from backend.privacy import visits
from backend.registry.privacy_tables import Visit as Row

log = structlog.get_logger()

VISIT: Final = web.RequestKey("itsminer.visit", str)
"""Where a request of a page keeps the visit's id, for the page to say how long it was open; "" when none is kept."""

_MINUTE: Final = timedelta(minutes=1)
_FROM_ONE: Final = 60
_IN_ALL: Final = 600  # what a flood of visits may write in a minute: the others are served and not counted


class Visit(BaseModel):
    """All that is kept of one."""

    at: datetime
    address: str
    browser: str
    page: str
    spent_s: int | None


class VisitsReply(BaseModel):
    """Newest first."""

    visits: list[Visit]


class VisitsQuery(Query):
    """`before`: for the page after this one."""

    before: AwareDatetime | None = None


class SpentRequest(Body):
    """Which visit, by the id that its page was given, and for how many seconds the page was open."""

    visit: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    spent_s: Annotated[int, Field(ge=0, le=int(visits.LONGEST.total_seconds()))]


def is_page(route: Route[Any]) -> bool:
    """Whether people open it in a browser."""
    return route.access == "public" and route.method == "GET" and route.media_type == HTML


def wants_none(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that nothing is to be kept of this visit."""
    return "1" in (headers.get("DNT", "").strip(), headers.get("Sec-GPC", "").strip())


class Visits:
    """Writes visits down; one for each server."""

    def __init__(self) -> None:
        self._from_one = Rate(_FROM_ONE, _MINUTE)
        self._in_all = Rate(_IN_ALL, _MINUTE)

    @asynccontextmanager
    async def visited(self, call: Call[Any], route: Route[Any]) -> AsyncIterator[None]:
        """Keep that a page was served in this block, when it was. A page does not fail because this does."""
        request = call.request
        request[VISIT] = ""
        if not is_page(route) or request.method != "GET" or wants_none(request.headers) or self._is_flood(call):
            yield
            return
        visit = Row(
            id=ids.new("vis"),
            at=call.now,
            address=visits.shortened(sender(request, call.services.settings.listen.proxies)),
            browser=visits.browser(request.headers.get("User-Agent", "")),
            page=route.path,
        )
        request[VISIT] = visit.id
        yield
        try:
            async with call.services.database.begin() as session:
                session.add(visit)
        except SQLAlchemyError as error:
            log.warning("visit.lost", reason=type(error).__name__)

    def _is_flood(self, call: Call[Any]) -> bool:
        one = address(call.request, call.services.settings.listen.proxies)
        return self._from_one.wait_s(one, call.now) > 0 or self._in_all.wait_s("all", call.now) > 0


class Spending:
    """The handler of what pages say when they are left, with the tries of each address."""

    def __init__(self) -> None:
        self._rate = Rate(_FROM_ONE, _MINUTE)

    async def post(self, call: Call[Query]) -> web.Response:
        """How long a page was open. The answer is the same for a visit that there is not."""
        await limit(self._rate, call)
        sent = await body(call, SpentRequest)
        async with call.services.database.begin() as session:
            await visits.spent(session, sent.visit, sent.spent_s, now=call.now)
        return done()


async def listed(call: Call[VisitsQuery]) -> VisitsReply:
    """Who visited the pages, as far as that is kept."""
    async with call.services.database.read() as session:
        found = await visits.listed(session, before=call.query.before)
    return VisitsReply(
        visits=[
            Visit(at=one.at, address=one.address, browser=one.browser, page=one.page, spent_s=one.spent_s)
            for one in found
        ]
    )
