"""Who may do what: one table. The routes name a row of it, and nothing else decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Access = Literal[
    "public",
    "agent",
    "share",
    "read",
    "operate",
    "manage",
    "manage_members",
    "own",
    "self",
    "privacy",
    "staff",
    "support",
    "oversee",
    "admin",
]
"""What a route asks for."""

ROLES: Final = ("owner", "manager", "operator", "viewer")
"""Of members. Each may do what those after it may."""

STAFF_ROLES: Final = ("admin", "support", "auditor")

SCOPES: Final = ("read", "operate", "manage")
"""Of API tokens. Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Right:
    """A row of the table."""

    means: str
    members: tuple[str, ...] = ()  # roles
    tokens: tuple[str, ...] = ()  # kinds
    staff: tuple[str, ...] = ()  # roles


RIGHTS: Final[Mapping[Access, Right]] = {
    "public": Right("anybody, without a token"),
    "agent": Right("send batches for a site", tokens=("agent",)),
    "share": Right("read what an account shares with them", tokens=("share",)),
    "read": Right("see the farm", members=ROLES, tokens=SCOPES),
    "operate": Right("act on warnings and machines", members=ROLES[:3], tokens=SCOPES[1:]),
    "manage": Right("sites and their agents", members=ROLES[:2], tokens=SCOPES[2:]),
    "manage_members": Right("who and what has access: members, tokens", members=ROLES[:2]),
    "own": Right("members and their roles, the account itself", members=ROLES[:1]),
    "self": Right("their own log-in: sessions, password, second factor", members=ROLES, staff=STAFF_ROLES),
    "privacy": Right("their own data: consents, requests, how long it is kept", members=ROLES),
    "staff": Right("their own grants", staff=STAFF_ROLES),
    "support": Right("personal data of accounts, under a grant", staff=("admin", "support")),
    "oversee": Right("who of the staff may do what, all grants", staff=("admin", "auditor")),
    "admin": Right("erase an account that belongs to a child, ask accounts to share", staff=("admin",)),
}

PERSONAL_DATA: Final = RIGHTS["support"].staff
"""Staff roles that may see personal data; how many people have one is capped (`[staff] with_personal_data`)."""


def is_at_least(role: str, other: str) -> bool:
    """Whether a member's role may all that the other may."""
    return ROLES.index(role) <= ROLES.index(other)


def roles_for(scope: str) -> tuple[str, ...]:
    """The members who may all that a token of this scope may: who else could make it."""
    return next(right.members for right in RIGHTS.values() if scope in right.tokens and right.tokens[0] == scope)
