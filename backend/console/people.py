"""The insides of the pages about people: one's own log-in, and who and what has access to an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backend.accounts.rights import ROLES, SCOPES
from backend.api import logins, people, sites
from backend.api.route import Call
from backend.console.parts import Part, may


async def _account(call: Call[Any]) -> Mapping[str, object]:
    """Who is logged in, where, and with what."""
    return {"me": await logins.me(call), "sessions": (await logins.listed(call)).sessions}


async def _manage(call: Call[Any]) -> Mapping[str, object]:
    """Sites and their agents, members, tokens."""
    is_owner = may(call, "own")
    return {
        "sites": (await sites.listed(call)).sites,
        "members": (await people.listed(call)).members,
        "tokens": [token for token in (await people.tokens_listed(call)).tokens if token.revoked_at is None],
        "is_owner": is_owner,
        "own": call.member,
        "roles": ROLES[::-1] if is_owner else ROLES[:0:-1],
        "scopes": SCOPES,
        "backend_url": call.services.settings.public_url or str(call.request.url.origin()),
    }


PARTS: Final[Sequence[Part]] = (
    Part(name="account", title="Account", access="self", summary="One's own log-in, as HTML", shows=_account),
    Part(
        name="manage",
        title="Manage",
        access="manage_members",
        summary="An account's sites, members and tokens, as HTML",
        shows=_manage,
    ),
)
"""For the table of pages."""
