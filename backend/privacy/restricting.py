"""Restriction of processing: data is kept, and nothing is made of it: no rule, message, report or share uses it.

Either of a whole account or of one member's contacts. Readings are stored meanwhile; what was silent is not judged
later. Notices that the service owes (of requests, of incidents, of log-ins) go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.privacy import audit
from backend.registry.errors import Invalid, Missing, Taken
from backend.registry.rights_tables import Restriction

_SHORTEST_REASON = 3


async def holds(session: AsyncSession, account: str, member: str | None = None) -> bool:
    """Whether data of the account, or else of this member of it, may be kept only."""
    of_whom: ColumnElement[bool] = Restriction.member_id.is_(None)
    if member is not None:
        of_whom = or_(of_whom, Restriction.member_id == member)
    query = select(Restriction.id).where(Restriction.account_id == account, Restriction.lifted_at.is_(None), of_whom)
    return await session.scalar(query.limit(1)) is not None


async def restrict(
    session: AsyncSession, account: str, member: str | None, *, reason: str, by: str, now: datetime
) -> Restriction:
    """From the end of this transaction on. Raises `Taken` or `Invalid`."""
    if len(reason.strip()) < _SHORTEST_REASON:
        raise Invalid("say why")
    if await _open(session, account, member) is not None:
        raise Taken("it is restricted already")
    made = Restriction(id=ids.new("rst"), account_id=account, member_id=member, reason=reason.strip(), since=now, by=by)
    session.add(made)
    await session.flush()
    await audit.record(session, actor=by, action="restricted", account=account, subject=made.id, now=now)
    return made


async def lift(session: AsyncSession, account: str, member: str | None, *, by: str, now: datetime) -> Restriction:
    """Data may be used again. Raises `Missing`."""
    found = await _open(session, account, member)
    if found is None:
        raise Missing("it is not restricted")
    found.lifted_at, found.lifted_by = now, by
    await audit.record(session, actor=by, action="restriction.lifted", account=account, subject=found.id, now=now)
    return found


async def history(session: AsyncSession, account: str) -> Sequence[Restriction]:
    """All of the account's, newest first."""
    query = select(Restriction).where(Restriction.account_id == account)
    return (await session.scalars(query.order_by(Restriction.since.desc(), Restriction.id))).all()


async def _open(session: AsyncSession, account: str, member: str | None) -> Restriction | None:
    whose = Restriction.member_id.is_(None) if member is None else Restriction.member_id == member
    query = select(Restriction).where(Restriction.account_id == account, Restriction.lifted_at.is_(None), whose)
    found: Restriction | None = await session.scalar(query)
    return found
