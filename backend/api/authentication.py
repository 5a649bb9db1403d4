"""Who asks: the token in `Authorization`, checked against the registry and against what a route allows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web

from backend.api.problems import Problem
from backend.api.route import Route
from backend.registry import tokens
from backend.registry.database import Database
from backend.registry.tokens import Bearer


async def admit(request: web.Request, route: Route[Any], database: Database, *, now: datetime) -> Bearer | None:
    """Whoever asks, if they may; None on a public route. Raises `Problem` 401 or 403.

    A missing, unknown, expired and revoked token get the same answer.
    """
    if route.access == "public":
        return None
    scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
    bearer = None
    if scheme.lower() == "bearer":
        async with database.read() as session:
            bearer = await tokens.bearer(session, presented.strip(), now=now)
    if bearer is None:
        ask = {"WWW-Authenticate": "Bearer"}
        raise Problem(401, "send a valid token: Authorization: Bearer imt_…", headers=ask)
    if bearer.kind != route.access:
        raise Problem(403, f"this needs a token of the kind {route.access}, this one is of the kind {bearer.kind}")
    return bearer
