"""Every request that reaches personal data is in the audit log before its answer leaves.

What the routes of `read` and `operate` show is pseudonyms and numbers of machines; agents send nothing else. All other
routes are about people, and none of them can be forgotten here: they are watched by what access they ask for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from backend.api.bodies import SENT
from backend.api.problems import Problem
from backend.api.route import Call, Route
from backend.privacy import audit
from backend.privacy.audit import Outcome
from backend.registry.errors import RegistryError

_NOT_PERSONAL: Final = frozenset({"agent", "read", "operate"})
_PUBLIC_POSTS: Final = ("/v1/enroll", "/v1/visits/spent")
"""Public, and about no person."""


def is_watched(route: Route[Any]) -> bool:
    """Whether a route reaches personal data."""
    if route.access == "public":
        return route.method == "POST" and route.path not in _PUBLIC_POSTS
    return route.access not in _NOT_PERSONAL


@asynccontextmanager
async def watched(call: Call[Any], route: Route[Any]) -> AsyncIterator[None]:
    """Write down what is done in this block, and what is refused. When that cannot be written, nothing is answered."""
    if not is_watched(route):
        yield
        return
    try:
        yield
    except (Problem, RegistryError):
        await _note(call, route, "refused")
        raise
    await _note(call, route, "done")


async def _note(call: Call[Any], route: Route[Any], outcome: Outcome) -> None:
    bearer = call.bearer
    sent = call.request.get(SENT)
    about = [getattr(each, "account", None) for each in (sent, call.query)]
    account = (bearer.account if bearer is not None else None) or next(filter(None, about), None)
    subjects = (getattr(each, name, None) for each in (sent, call.query) for name in ("member", "request", "grant"))
    async with call.services.database.begin() as session:
        await audit.record(
            session,
            actor=(bearer.member or bearer.staff or bearer.token) if bearer is not None else "visitor",
            action=f"{route.method} {route.path}",
            account=account,
            subject=next((str(subject)[:100] for subject in subjects if subject), None),
            outcome=outcome,
            now=call.now,
        )
