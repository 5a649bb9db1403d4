"""Bearer tokens: `imt_` and 256 random bits, shown once, kept as SHA-256.

A stolen database opens nothing, and a lookup by hash tells nothing by its time: what an attacker can vary
is the token, what the index compares is its hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NewType

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.registry.errors import Missing
from backend.registry.names import name as checked
from backend.registry.tables import Token

Kind = Literal["agent", "read"]
Secret = NewType("Secret", str)
"""The token itself; goes to its holder and nowhere else."""

PREFIX: Final = "imt_"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who asks."""

    token: str  # its id
    account: AccountId
    kind: str
    site: SiteId | None  # an agent's


async def issue(
    session: AsyncSession,
    account: AccountId,
    *,
    kind: Kind,
    label: str,
    site: SiteId | None = None,
    expires_at: datetime | None = None,
    now: datetime,
) -> tuple[Token, Secret]:
    """A new token and, this once, its secret."""
    secret = Secret(PREFIX + secrets.token_urlsafe(32))
    token = Token(
        id=ids.new("tok"),
        account_id=account,
        kind=kind,
        site_id=site,
        label=checked(label),
        token_hash=_hash(secret),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(token)
    await session.flush()
    return token, secret


async def bearer(session: AsyncSession, presented: str, *, now: datetime) -> Bearer | None:
    """Whose valid token this is; None for an unknown, revoked or expired one."""
    if not presented.startswith(PREFIX):
        return None
    query = select(Token).where(
        Token.token_hash == _hash(presented),
        Token.revoked_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > now),
    )
    token = await session.scalar(query)
    if token is None:
        return None
    site = None if token.site_id is None else SiteId(token.site_id)
    return Bearer(token=token.id, account=AccountId(token.account_id), kind=token.kind, site=site)


async def listed(session: AsyncSession, account: AccountId) -> Sequence[Token]:
    """The account's tokens, oldest first, revoked ones too."""
    query = select(Token).where(Token.account_id == account).order_by(Token.created_at, Token.id)
    return (await session.scalars(query)).all()


async def revoke(session: AsyncSession, account: AccountId, token: str, *, now: datetime) -> None:
    """From the end of this transaction on the token opens nothing. Raises `Missing` for another account's."""
    found = await session.scalar(select(Token).where(Token.account_id == account, Token.id == token))
    if found is None:
        raise Missing(f"there is no token {token} in this account")
    if found.revoked_at is None:
        found.revoked_at = now


async def revoke_agents(session: AsyncSession, account: AccountId, site: SiteId, *, now: datetime) -> None:
    """Revoke what the site's agents hold: a site has one agent."""
    await session.execute(
        update(Token)
        .where(Token.account_id == account, Token.site_id == site, Token.kind == "agent", Token.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
