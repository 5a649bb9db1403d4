"""The insides of the pages about people: one's own log-in, and who and what has access to an account.

They show what the API answers and send what it takes: what a page can do, any program can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from backend.accounts.rights import ROLES, SCOPES
from backend.api import logins, people, sites
from backend.api.route import HTML, Call, Query, Route
from backend.console import files, rendering

_HEADERS: Final = {"Cache-Control": "private, no-store", "Vary": "Authorization"}


async def account(call: Call[Query]) -> web.Response:
    """Who is logged in, where, and with what."""
    me, open_now = await logins.me(call), await logins.listed(call)
    return files.page(rendering.part("account", me=me, sessions=open_now.sessions), _HEADERS)


async def manage(call: Call[Query]) -> web.Response:
    """Sites and their agents, members, tokens."""
    settings = call.services.settings
    farms, members, tokens = await sites.listed(call), await people.listed(call), await people.tokens_listed(call)
    text = rendering.part(
        "manage",
        sites=farms.sites,
        members=members.members,
        tokens=[token for token in tokens.tokens if token.revoked_at is None],
        is_owner=call.bearer_known.role == "owner",
        own=call.member,
        roles=ROLES[::-1] if call.bearer_known.role == "owner" else ROLES[:0:-1],
        scopes=SCOPES,
        backend_url=settings.public_url or str(call.request.url.origin()),
    )
    return files.page(text, _HEADERS)


ROUTES: Final[Sequence[Route[Any]]] = (
    Route(
        method="GET",
        path="/console/account",
        handler=account,
        access="self",
        summary="One's own log-in, as HTML for its page",
        query=Query,
        media_type=HTML,
    ),
    Route(
        method="GET",
        path="/console/manage",
        handler=manage,
        access="manage_members",
        summary="An account's sites, members and tokens, as HTML for their page",
        query=Query,
        media_type=HTML,
    ),
)
"""For the server's table of routes."""
