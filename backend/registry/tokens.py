"""Bearer tokens of agents and programs: `imt_` and 256 random bits, shown once, kept as SHA-256.

A stolen database opens nothing, and a lookup by hash tells nothing by its time: what an attacker can vary
is the token, what the index compares is its hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts import secret as secrets
from backend.accounts.rights import roles_for
from backend.accounts.secret import Secret
from backend.ids import AccountId, MemberId, SiteId
from backend.registry.account_tables import Account, Member
from backend.registry.errors import Invalid, Missing
from backend.registry.names import name as checked
from backend.registry.site_tables import Token

Kind = Literal["agent", "share", "read", "operate", "manage"]
"""An agent's, a recipient's of a share, or what a program may (`backend.accounts.rights`)."""

PREFIX: Final = "imt_"

OVERLAP: Final = timedelta(minutes=10)
"""So long an agent's former token is good after a rotation: what it sends at that moment arrives."""


_TOKEN, _ACCOUNT, _MEMBER = (each.__table__ for each in (Token, Account, Member))
# Every request asks this: made once, and of tables, not of classes.
_BEARER: Final = (
    select(
        _TOKEN.c.id,
        _TOKEN.c.account_id,
        _TOKEN.c.kind,
        _TOKEN.c.site_id,
        _TOKEN.c.member_id,
        _MEMBER.c.role,
        _ACCOUNT.c.region,
    )
    .join(_ACCOUNT, _ACCOUNT.c.id == _TOKEN.c.account_id)
    .outerjoin(_MEMBER, _MEMBER.c.id == _TOKEN.c.member_id)
    .where(
        _TOKEN.c.token_hash == bindparam("hash"),
        _TOKEN.c.revoked_at.is_(None),
        or_(_TOKEN.c.expires_at.is_(None), _TOKEN.c.expires_at > bindparam("now")),
    )
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who asks."""

    token: str  # its id, or the session's
    account: AccountId | None  # None: staff have none
    kind: str  # of the token; member and staff for sessions
    site: SiteId | None = None  # an agent's
    role: str | None = None  # a person's
    member: MemberId | None = None
    staff: str | None = None
    login: str | None = None
    lacks_second_factor: bool = False  # it is required, and this session has none
    region: str | None = None  # that an agent's account keeps its readings in


async def issue(
    session: AsyncSession,
    account: AccountId,
    *,
    kind: Kind,
    label: str,
    site: SiteId | None = None,
    member: MemberId | None = None,
    expires_at: datetime | None = None,
    now: datetime,
) -> tuple[Token, Secret]:
    """A new token and, this once, its secret. A `member`'s goes with them."""
    secret = secrets.new(PREFIX)
    token = Token(
        id=ids.new("tok"),
        account_id=account,
        kind=kind,
        site_id=site,
        member_id=member,
        label=checked(label),
        token_hash=secrets.hashed(secret),
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
    connection = await session.connection()
    found = (await connection.execute(_BEARER, {"hash": secrets.hashed(presented), "now": now})).one_or_none()
    if found is None or (found.member_id is not None and found.role not in roles_for(found.kind)):
        return None
    is_of_site = found.site_id is not None
    return Bearer(
        token=found.id,
        account=AccountId(found.account_id),
        kind=found.kind,
        site=SiteId(found.site_id) if is_of_site else None,
        region=found.region if is_of_site else None,
    )


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
        await session.flush()


async def revoke_agents(session: AsyncSession, account: AccountId, site: SiteId, *, now: datetime) -> None:
    """Revoke what the site's agents hold: a site has one agent."""
    await session.execute(
        update(Token)
        .where(Token.account_id == account, Token.site_id == site, Token.kind == "agent", Token.revoked_at.is_(None))
        .values(revoked_at=now)
    )


async def rotate(session: AsyncSession, agent: Bearer, token_hash: str, *, now: datetime) -> None:
    """Let a token in that an agent made; those before it are good for `OVERLAP` still. Asked again, it is so again.

    The agent has written its token down before it asks, so an answer that gets lost locks nobody out. Raises `Missing`
    for what is no agent's and `Invalid` for a hash that is another's, or when the token that asks was replaced itself.
    """
    if agent.account is None or agent.site is None:
        raise Missing("this token is not an agent's")
    is_of_agent = (Token.account_id == agent.account, Token.site_id == agent.site, Token.kind == "agent")
    is_good = (Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now))
    lasts = await session.scalar(select(Token.id).where(Token.id == agent.token, Token.expires_at.is_(None)))
    known = await session.scalar(select(Token).where(Token.token_hash == token_hash))
    if known is None and lasts is not None:
        known = Token(
            id=ids.new("tok"),
            account_id=agent.account,
            kind="agent",
            site_id=agent.site,
            label=f"agent of {agent.site}",
            token_hash=token_hash,
            created_at=now,
        )
        session.add(known)
        await session.flush()
    elif (
        known is None
        or await session.scalar(select(Token.id).where(Token.id == known.id, *is_of_agent, *is_good)) is None
    ):
        raise Invalid("this token was replaced by another one, or the new one is not free; make a new one")
    ends_at = now + OVERLAP
    await session.execute(
        update(Token)
        .where(
            *is_of_agent, Token.id != known.id, *is_good, or_(Token.expires_at.is_(None), Token.expires_at > ends_at)
        )
        .values(expires_at=ends_at)
    )
