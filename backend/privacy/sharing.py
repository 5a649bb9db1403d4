"""Sharing with third parties: nothing, unless the account switched it on and agreed to each recipient and purpose.

A share is a token that reads the agreed kinds of data and nothing else. It ends when consent does, at once; switching
sharing off ends all of them. Each time something is given it is written down before it leaves, for the account to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.accounts.secret import Secret
from backend.ids import AccountId
from backend.privacy import audit, restricting
from backend.registry import tokens
from backend.registry.account_tables import Account
from backend.registry.errors import Forbidden, Invalid, Missing, Taken
from backend.registry.members import email_address
from backend.registry.names import name as checked
from backend.registry.rights_tables import Disclosure, Share, SharingSwitch

Kind = Literal["machines", "series", "warnings"]

KINDS: Final[Mapping[Kind, str]] = {
    "machines": "the newest reading of each machine, under its pseudonym",
    "series": "readings of machines over time, under their pseudonyms",
    "warnings": "what fires and what did",
}
METHOD: Final = "the recipient reads it by HTTPS with a token of its own"

_SHORTEST_PURPOSE: Final = 10


async def is_on(session: AsyncSession, account: str) -> bool:
    """Whether the account lets anything be shared. Off until an owner says otherwise."""
    found = await session.get(SharingSwitch, account)
    return found is not None and found.is_on


async def switch(session: AsyncSession, account: str, by: str, *, on: bool, now: datetime) -> int:
    """Let things be shared from now on, or end all shares at once; how many ended."""
    await session.merge(SharingSwitch(account_id=account, is_on=on, changed_at=now, changed_by=by))
    action = "sharing.on" if on else "sharing.off"
    await audit.record(session, actor=by, action=action, account=account, now=now)
    if on:
        return 0
    open_ones = await session.scalars(
        select(Share).where(Share.account_id == account, Share.consented_at.is_not(None), Share.ended_at.is_(None))
    )
    ended = open_ones.all()
    for share in ended:
        await _end(session, share, by, now)
    return len(ended)


async def propose(
    session: AsyncSession, account: str, by: str, *, recipient: str, contact: str, purpose: str, kinds: Sequence[Kind],
    now: datetime,
) -> Share:  # fmt: skip
    """Say what a recipient would get, and why. Nothing is shared by that. Raises `Missing` or `Invalid`."""
    if await session.get(Account, account) is None:
        raise Missing(f"there is no account {account}")
    if len(purpose.strip()) < _SHORTEST_PURPOSE:
        raise Invalid(f"say what for, in {_SHORTEST_PURPOSE} characters at least")
    if not kinds or not set(kinds) <= set(get_args(Kind)):
        raise Invalid(f"kinds of data are {', '.join(KINDS)}")
    share = Share(
        id=ids.new("shr"),
        account_id=account,
        recipient=checked(recipient),
        contact=email_address(contact),
        purpose=purpose.strip(),
        method=METHOD,
        kinds=sorted(set(kinds)),
        proposed_by=by,
        proposed_at=now,
    )
    session.add(share)
    await session.flush()
    return share


async def consent(
    session: AsyncSession, account: AccountId, by: str, share_id: str, *, now: datetime
) -> tuple[Share, Secret]:
    """The account agrees to this recipient and purpose; the token, this once.

    Raises `Missing`, `Taken` or `Forbidden`.
    """
    share = await find(session, account, share_id)
    if not await is_on(session, account):
        raise Forbidden("the account does not let anything be shared: switch that on first")
    if share.consented_at is not None or share.ended_at is not None:
        raise Taken("this was agreed to, or ended, before: propose it anew")
    token, secret = await tokens.issue(session, account, kind="share", label=f"share {share.id}", now=now)
    share.consented_by, share.consented_at, share.token_id = by, now, token.id
    await audit.record(session, actor=by, action="share.consented", account=account, subject=share.id, now=now)
    return share, secret


async def end(session: AsyncSession, account: AccountId, by: str, share_id: str, *, now: datetime) -> None:
    """The account agrees no more. Raises `Missing`."""
    share = await find(session, account, share_id)
    if share.ended_at is None:
        await _end(session, share, by, now)


async def find(session: AsyncSession, account: str, share_id: str) -> Share:
    """One of the account's. Raises `Missing`."""
    found = await session.scalar(select(Share).where(Share.account_id == account, Share.id == share_id))
    if found is None:
        raise Missing("there is no such share in this account")
    return found


async def listed(session: AsyncSession, account: str) -> Sequence[Share]:
    """The account's, ended ones too, newest first."""
    query = select(Share).where(Share.account_id == account).order_by(Share.proposed_at.desc(), Share.id)
    return (await session.scalars(query)).all()


async def disclosures(
    session: AsyncSession, account: str, *, before: datetime, most: int = 200
) -> Sequence[Disclosure]:
    """What recipients were given, newest first."""
    query = select(Disclosure).where(Disclosure.account_id == account, Disclosure.at < before)
    return (await session.scalars(query.order_by(Disclosure.at.desc(), Disclosure.id).limit(most))).all()


async def require(session: AsyncSession, account: str, token: str, kind: Kind) -> Share:
    """The share under which a token may read this kind now. Raises `Forbidden`."""
    share = await session.scalar(select(Share).where(Share.account_id == account, Share.token_id == token))
    if share is None or share.consented_at is None or share.ended_at is not None or not await is_on(session, account):
        raise Forbidden("this is not shared with you, or no more")
    if kind not in share.kinds:
        raise Forbidden(f"the account agreed to share {', '.join(share.kinds)} with you")
    if await restricting.holds(session, account):
        raise Forbidden("the account's data is kept only: nothing is shared for now")
    return share


async def disclose(session: AsyncSession, account: str, token: str, kind: Kind, rows: int, *, now: datetime) -> None:
    """Write down what is about to leave. Raises `Forbidden`: consent ended meanwhile."""
    share = await require(session, account, token, kind)
    session.add(Disclosure(id=ids.new("dsc"), account_id=account, share_id=share.id, kind=kind, rows=rows, at=now))


async def _end(session: AsyncSession, share: Share, by: str, now: datetime) -> None:
    share.ended_at, share.ended_by = now, by
    if share.token_id is not None:
        await tokens.revoke(session, AccountId(share.account_id), share.token_id, now=now)
    await audit.record(session, actor=by, action="share.ended", account=share.account_id, subject=share.id, now=now)
