"""Shorthands for rows of the API's table: what nearly all of them have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel

from backend.accounts.rights import Access
from backend.api.route import Call, Query, Route

Handler = Callable[[Call[Any]], Awaitable[BaseModel | web.StreamResponse]]


def get(
    path: str,
    handler: Handler,
    access: Access,
    summary: str,
    reply: type[BaseModel] | None,
    query: type[Query] = Query,
    problems: tuple[int, ...] = (),
) -> Route[Any]:
    """A GET; `reply` None: something else than JSON."""
    return Route(
        method="GET",
        path=path,
        handler=handler,
        access=access,
        summary=summary,
        query=query,
        reply=reply,
        problems=(*problems, 404) if query is not Query else problems,
    )


def post(
    path: str,
    handler: Handler,
    access: Access,
    summary: str,
    body: type[BaseModel] | None = None,
    reply: type[BaseModel] | None = None,
    status: int | None = None,
    problems: tuple[int, ...] = (),
) -> Route[Any]:
    """What goes wrong with any body: too slow, too large, no JSON, not what it should be, taken, too often."""
    return changing("POST", path, handler, access, summary, body, reply, status=status, problems=problems)


def changing(
    method: Literal["POST", "PUT", "DELETE"],
    path: str,
    handler: Handler,
    access: Access,
    summary: str,
    body: type[BaseModel] | None = None,
    reply: type[BaseModel] | None = None,
    query: type[Query] = Query,
    *,
    status: int | None = None,
    problems: tuple[int, ...] = (),
) -> Route[Any]:
    """What changes something; `query` for what the path names."""
    of_body = (403, 404, 408, 409, 413, 415, 422, 429) if body is not None else ()
    of_path = (404,) if query is not Query else ()
    return Route(
        method=method,
        path=path,
        handler=handler,
        access=access,
        summary=summary,
        query=query,
        body=body,
        reply=reply,
        status=status or (200 if reply is not None else 204),
        problems=tuple(dict.fromkeys((*of_body, *of_path, *problems))),
    )
