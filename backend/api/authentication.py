"""Who asks: the token in `Authorization`, checked against the registry and against the table of rights."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web

from backend.accounts import sessions
from backend.accounts.rights import RIGHTS, Right
from backend.api.problems import Problem
from backend.api.route import Route
from backend.api.services import Services
from backend.registry import tokens
from backend.registry.tokens import Bearer


async def admit(request: web.Request, route: Route[Any], services: Services, *, now: datetime) -> Bearer | None:
    """Whoever asks, if they may; None on a public route. Raises `Problem` 401 or 403.

    A missing, unknown, expired and revoked token get the same answer.
    """
    if route.access == "public":
        return None
    scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
    bearer = None
    if scheme.lower() == "bearer":
        bearer = await _bearer(services, presented.strip(), now)
    if bearer is None:
        ask = {"WWW-Authenticate": "Bearer"}
        raise Problem(401, "send a valid token: Authorization: Bearer …", headers=ask)
    right = RIGHTS[route.access]
    if not may(bearer, right):
        raise Problem(403, f"{bearer.role or bearer.kind} may not: {right.means}")
    if bearer.lacks_second_factor and route.access != "self":
        raise Problem(403, "this needs a log-in with a second factor", kind="second-factor")
    return bearer


async def _bearer(services: Services, presented: str, now: datetime) -> Bearer | None:
    if presented.startswith(sessions.PREFIX):
        return await services.sessions.bearer(presented, now=now)
    async with services.database.read() as session:
        return await tokens.bearer(session, presented, now=now)


def may(bearer: Bearer, right: Right) -> bool:
    """Whether a row of the table lets them in."""
    match bearer.kind:
        case "member":
            return bearer.role in right.members
        case "staff":
            return bearer.role in right.staff
        case kind:
            return kind in right.tokens
