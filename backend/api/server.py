"""Routes to an aiohttp application: checks before each handler, a clean answer after it, whatever happens."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Any, Final
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from agent import wire
from backend.api import bodies, watching
from backend.api.authentication import admit
from backend.api.meters import Meters
from backend.api.problems import Problem
from backend.api.rates import Rate
from backend.api.route import Call, Query, Route
from backend.api.services import Services
from backend.api.visits import Visits
from backend.privacy import ceasing
from backend.registry.errors import Forbidden, Invalid, Missing, RegistryError, Taken
from backend.store.errors import Refused, StoreUnavailable

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Of every answer; a page, which needs more of the browser, sets its own.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "itsminer",
}
_STATUSES: Final[dict[type[RegistryError], int]] = {Missing: 404, Taken: 409, Invalid: 422, Forbidden: 403}
_DETAILS: Final = {
    404: "there is no such address here",
    405: "this address does not know that method",
    413: f"the body is larger than {bodies.SMALL} bytes",
}
_WRITES_PER_MIN: Final = 600  # of one account's people and programs; agents have limits of their own
_OTHER: Final = "other"  # the route of requests that match none: their paths would fill the meters


def application(services: Services, routes: Sequence[Route[Any]]) -> web.Application:
    """An application that serves the routes."""
    app = web.Application(middlewares=[_guard(services.meters)], client_max_size=bodies.SMALL)
    visits, writes = Visits(), Rate(_WRITES_PER_MIN, timedelta(minutes=1))
    for route in routes:
        handler = _checked(route, services, visits, writes)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler)
    return app


def runner(app: web.Application, *, shutdown_s: float = 10.0) -> web.AppRunner:
    """A runner that leaves bodies as they were sent (we bound decompression ourselves) and logs no addresses."""
    return web.AppRunner(
        app, auto_decompress=False, access_log=None, logger=_protocol_log(), shutdown_timeout=shutdown_s
    )


def _protocol_log() -> logging.Logger:
    """aiohttp's words about connections, which name addresses of people: without them, and none about bad HTTP."""

    def anonymous(record: logging.LogRecord) -> bool:
        record.msg, record.args = "a connection failed", ()
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)

    protocol_log = logging.Logger("itsminer.http")  # of its own: filters of shared loggers would pile up
    protocol_log.parent = logging.getLogger()
    protocol_log.addFilter(anonymous)
    return protocol_log


def _checked(route: Route[Any], services: Services, visits: Visits, writes: Rate) -> Handler:
    """Admit, parse the query, call, turn a model into an answer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        now = services.clock()
        bearer = await admit(request, route, services, now=now)
        if bearer is not None and bearer.site is None and route.method != "GET":
            wait_s = writes.wait_s(bearer.account or bearer.token, now)
            if wait_s > 0:
                raise Problem(429, "too many changes at once: wait a little", retry_after_s=ceil(wait_s))
        query = _query(route.query, request.query, request.match_info)
        call = Call(request=request, services=services, query=query, bearer=bearer, now=now)
        if route.collects:
            await _refuse_when_ending(services)
        async with watching.watched(call, route), visits.visited(call, route):
            reply = await route.handler(call)
        if isinstance(reply, BaseModel):
            return web.Response(
                body=reply.model_dump_json(exclude_none=True), status=route.status, content_type=route.media_type
            )
        return reply

    return handle


async def _refuse_when_ending(services: Services) -> None:
    async with services.database.read() as session:
        if await ceasing.is_begun(session):
            raise Problem(410, "the service ends: nothing is taken any more, see /announcements", kind="ceased")


def _query(model: type[Query], sent: MultiMapping[str], path: Mapping[str, str]) -> Query:
    """Parse a query string and what the path names; an empty value is as good as none. Raises `Problem` 400 naming the
    parameter."""
    values: dict[str, str | list[str]] = {}
    for name in sent:
        given = [value for value in sent.getall(name) if value]
        if given:
            values[name] = given[0] if len(given) == 1 else given
    values.update(path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Problem(400, wire.describe(error), kind="query") from error


def _guard(meters: Meters) -> Any:
    """The middleware around all: counts, headers, and nothing but clean answers."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else _OTHER
        response = await _answer(request, handler, route)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        meters.requests.labels(route, request.method if resource is not None else _OTHER, response.status).inc()
        return response

    return guard


async def _answer(request: web.Request, handler: Handler, route: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except RegistryError as error:
        status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
        return Problem(status, str(error)).response()
    except StoreUnavailable as error:
        return Problem(
            503, "the readings cannot be kept now", kind="store", retry_after_s=ceil(error.retry_after_s)
        ).response()
    except Refused as error:
        log.warning("api.refused_by_store", reason=str(error))
        return Problem(422, "the readings are not such as can be kept", kind="store-refused").response()
    except web.HTTPException as error:
        if error.status < 400:
            return web.Response(status=error.status, headers=error.headers)
        detail = _DETAILS.get(error.status, error.reason)
        allow = error.headers.get("Allow")
        return Problem(error.status, detail, headers={"Allow": allow} if allow else None).response()
    except Exception:
        incident = uuid4().hex
        log.exception("api.failed", route=route, method=request.method, incident=incident)
        return Problem(500, f"it is recorded as incident {incident}", kind="internal", incident=incident).response()
