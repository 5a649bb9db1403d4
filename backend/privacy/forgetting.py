"""What the registry forgets of a part of an account: a site with all that hangs on it, a machine, a time, a member.

Each returns how many rows went, by table. Whoever remembers rules' states of a site in memory reads them anew.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import people
from backend.ids import AccountId
from backend.registry.base import Base
from backend.registry.machine_tables import DeclaredMachines
from backend.registry.notify_tables import OutboxMessage
from backend.registry.privacy_tables import SupportBundle
from backend.registry.rule_tables import SiteWatch
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.store.protocol import Part

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_IN_TIME: Final = frozenset({Warning.__tablename__, OutboxMessage.__tablename__, SupportBundle.__tablename__})
"""Tables whose rows are of a time; the others say how things are now."""

Counts = dict[str, int]


async def part(session: AsyncSession, account: AccountId, of: Part) -> Counts:
    """What is of a site, and of a machine, and of a time. A whole site goes itself: its agent is locked out."""
    is_timed = of.start is not None or of.end is not None
    counts: Counts = {}
    for table in _tables("site_id") if of.machine is None else _tables("machine"):
        if not is_timed or table.name in _IN_TIME:
            await _delete(session, table, _where(table, account, of), counts)
    if of.machine is not None:
        await _bundles_that_name(session, account, of, counts)
    if of.machine is not None and not is_timed:
        await _undeclare(session, account, of, counts)
    watches = update(SiteWatch).where(SiteWatch.account_id == account).values(version=SiteWatch.version + 1)
    await session.execute(watches if of.site is None else watches.where(SiteWatch.site_id == of.site))
    if of.site is not None and of.machine is None and not is_timed:
        await session.execute(delete(Site).where(Site.account_id == account, Site.id == of.site))
        counts["sites"] = 1
    return counts


async def member(session: AsyncSession, account: AccountId, member_id: str) -> Counts:
    """A member, with contacts, log-in, sessions, tokens, messages. Raises `Missing` or `Forbidden`: the last owner."""
    counts: Counts = {"members": 1}
    for table in _tables("member_id"):
        count = await session.scalar(
            select(func.count()).select_from(table).where(table.c.account_id == account, table.c.member_id == member_id)
        )
        if count:
            counts[table.name] = count
    await people.remove(session, account, member_id)
    return counts


def _tables(column: str) -> list[Table]:
    """Those that have it, what refers to others first."""
    return [
        table for table in reversed(Base.metadata.sorted_tables) if {"account_id", column} <= {*table.columns.keys()}
    ]


def _where(table: Table, account: AccountId, of: Part) -> ColumnElement[bool]:
    where: ColumnElement[bool] = table.c.account_id == account
    if of.site is not None:
        where &= table.c.site_id == of.site
    if of.machine is not None:
        where &= table.c.machine == of.machine
    if table.name == Warning.__tablename__:  # one that lasted into the time is of that time
        where &= Warning.since < (of.end or _LAST)
        where &= or_(Warning.resolved_at.is_(None), Warning.resolved_at >= (of.start or _FIRST))
    elif table.name in _IN_TIME:
        where &= table.c.created_at >= (of.start or _FIRST)
        where &= table.c.created_at < (of.end or _LAST)
    return where


async def _bundles_that_name(session: AsyncSession, account: AccountId, of: Part, counts: Counts) -> None:
    """Support bundles are of a site; their text names machines."""
    table = Base.metadata.tables[SupportBundle.__tablename__]
    every = Part(site=of.site, start=of.start, end=of.end)
    names_it = SupportBundle.text.contains(of.machine, autoescape=True)
    await _delete(session, table, _where(table, account, every) & names_it, counts)


async def _undeclare(session: AsyncSession, account: AccountId, of: Part, counts: Counts) -> None:
    """Take the machine's pseudonym out of what members declared."""
    rows = await session.scalars(select(DeclaredMachines).where(DeclaredMachines.account_id == account))
    for row in rows:
        if of.machine in row.machines and of.site in (None, row.site_id):
            row.machines = [each for each in row.machines if each != of.machine]
            counts["declared_machines"] = counts.get("declared_machines", 0) + 1


async def _delete(session: AsyncSession, table: Any, where: ColumnElement[bool], counts: Counts) -> None:
    count = await session.scalar(select(func.count()).select_from(table).where(where))
    if count:
        await session.execute(delete(table).where(where))
        counts[table.name] = counts.get(table.name, 0) + count
