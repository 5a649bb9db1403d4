"""Erasure: of a part of an account's readings, or of an account for good; a receipt says what went, not what it was.

A whole account's files go with the key that they are encrypted with, so that no backup of them can be read; its rows in
the registry go with it (and SQLite overwrites them). What stays is listed to the owner before: `STAYS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.privacy import audit
from backend.registry.database import Database
from backend.registry.errors import Forbidden, Invalid
from backend.registry.privacy_tables import LegalHold, Receipt
from backend.registry.tables import Account
from backend.store.protocol import Everything, Part, Removed, Store

STAYS: Final = (
    "audit log: ids, actions and times, no names or contacts, until its window ends",
    "the receipt of this erasure: what was deleted and when, without what it was",
)


async def erase_part(
    database: Database, store: Store, account: AccountId, part: Part, *, actor: str, now: datetime
) -> Receipt:
    """Readings in scope are gone from every disk when this returns. Raises `Invalid`: everything is no part."""
    if part == Part():
        raise Invalid("name a site, a machine or a time; to erase all of it, cancel the account")
    removed = await store.erase(account, part)
    scope = {
        "site": part.site,
        "machine": part.machine,
        "start": part.start.isoformat() if part.start else None,
        "end": part.end.isoformat() if part.end else None,
    }
    async with database.begin() as session:
        return await _receipt(session, account, scope, removed, actor=actor, now=now)


async def cancel(database: Database, store: Store, account: AccountId, *, actor: str, now: datetime) -> Receipt:
    """Erase a whole account for good. Raises `Forbidden` while a hold keeps some of it."""
    async with database.begin() as session:
        query = select(LegalHold.basis).where(LegalHold.account_id == account, LegalHold.ends_at > now)
        if (basis := await session.scalar(query.limit(1))) is not None:
            raise Forbidden(f"the law keeps some of it: {basis}")
        found = await session.get_one(Account, account)
        await session.delete(found)  # who could log in or send is locked out before the files go
        await audit.record(session, actor=actor, action="account.cancelled", account=account, now=now)
    removed = await store.erase(account, Everything())
    async with database.begin() as session:
        return await _receipt(session, account, {"account": account}, removed, actor=actor, now=now)


async def receipts(session: AsyncSession, account: str) -> Sequence[Receipt]:
    """An account's receipts, newest first."""
    query = select(Receipt).where(Receipt.account_id == account).order_by(Receipt.erased_at.desc(), Receipt.id)
    return (await session.scalars(query)).all()


async def _receipt(
    session: AsyncSession,
    account: str,
    scope: dict[str, str | None],
    removed: Sequence[Removed],
    *,
    actor: str,
    now: datetime,
) -> Receipt:
    made = Receipt(
        id=ids.new("rct"),
        account_id=account,
        scope=scope,
        removed={one.data_class: {"rows": one.rows, "bytes": one.bytes} for one in removed},
        erased_at=now,
    )
    session.add(made)
    await audit.record(session, actor=actor, action="erased", account=account, subject=made.id, now=now)
    return made
