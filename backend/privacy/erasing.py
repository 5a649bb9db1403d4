"""Erasure: of a member, a site, a machine, a time, or a whole account; a receipt says what went, not what it was.

A whole account's files and rows go with the keys that they are encrypted with, so that no backup of them can be read
(of the rows: what is sealed of them). What stays is listed to the owner before: `STAYS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.privacy import audit, forgetting, tombstones
from backend.registry.account_tables import Account, Member
from backend.registry.database import Database
from backend.registry.errors import Forbidden, Invalid, Missing
from backend.registry.privacy_tables import Erasure, LegalHold, Receipt
from backend.store.protocol import Everything, Part, Removed, Store

STAYS: Final = (
    "audit log: ids, actions and times, no names or contacts, until its window ends",
    "the receipt of this erasure: what was deleted and when, without what it was",
)


async def erase_part(
    database: Database, store: Store, account: AccountId, part: Part, *, actor: str, now: datetime
) -> Receipt:
    """What is in scope is gone from registry and store when this returns. Raises `Invalid`: everything is no part."""
    if part == Part():
        raise Invalid("name a site, a machine or a time; to erase all of it, cancel the account")
    async with database.begin() as session:
        await _refuse_held(session, account, now)
        counts = await forgetting.part(session, account, part)  # a site's agent is locked out before its readings go
        begun = Erasure(
            id=ids.new("rct"),
            account_id=account,
            scope={
                "site": part.site,
                "machine": part.machine,
                "start": part.start.isoformat() if part.start else None,
                "end": part.end.isoformat() if part.end else None,
            },
            removed=counts,
            actor=actor,
            at=now,
        )
        session.add(begun)
    return await _finish(database, store, begun, now=now)


async def finish_parts(database: Database, store: Store, *, begun_before: datetime, now: datetime) -> list[str]:
    """Erase what somebody was killed over: the ids of the receipts. The store's half is done once more, or at all."""
    async with database.read() as session:
        left = (await session.scalars(select(Erasure).where(Erasure.at <= begun_before).order_by(Erasure.at))).all()
    return [(await _finish(database, store, begun, now=now)).id for begun in left]


async def _finish(database: Database, store: Store, begun: Erasure, *, now: datetime) -> Receipt:
    """The store's half, and the receipt: one, whoever else finishes the same meanwhile.

    It counts what the store held this time: what went before somebody was killed is in no receipt's numbers.
    """
    account, scope = AccountId(begun.account_id), begun.scope
    start, end = (datetime.fromisoformat(scope[name]) if scope[name] else None for name in ("start", "end"))
    removed = await store.erase(account, Part(site=scope["site"], machine=scope["machine"], start=start, end=end))
    async with database.begin() as session:
        ended = await session.scalar(delete(Erasure).where(Erasure.id == begun.id).returning(Erasure.id))
        if ended is None:
            return await session.get_one(Receipt, begun.id)
        counts: forgetting.Counts = begun.removed
        return await _receipt(session, account, scope, removed, counts, id=begun.id, actor=begun.actor, now=now)


async def erase_member(database: Database, account: AccountId, member: str, *, actor: str, now: datetime) -> Receipt:
    """A member is forgotten. Raises `Missing`, or `Forbidden` for the last owner."""
    async with database.begin() as session:
        counts = await forgetting.member(session, account, member)
        return await _receipt(session, account, {"member": member}, (), counts, actor=actor, now=now)


async def cancel(
    database: Database, store: Store, account: AccountId, *, erased_file: Path, actor: str, now: datetime
) -> Receipt:
    """Erase a whole account for good. Raises `Missing`, or `Forbidden` while a hold keeps some of it."""
    async with database.read() as session:
        if await session.get(Account, account) is None:
            raise Missing("there is no such account")
        await _refuse_held(session, account, now)
    await asyncio.to_thread(tombstones.write, erased_file, account, now=now)
    return await _erase_account(database, store, account, actor=actor, now=now)


async def erase_again(database: Database, store: Store, *, erased_file: Path, now: datetime) -> list[AccountId]:
    """What was to be erased and is there still, or again: somebody was killed meanwhile, or restored a backup."""
    listed = await asyncio.to_thread(tombstones.read, erased_file)
    async with database.read() as session:
        done = set(
            await session.scalars(select(Receipt.account_id).where(Receipt.scope["account"].as_string().is_not(None)))
        )
        there = set(await session.scalars(select(Account.id)))
    left = [account for account in dict.fromkeys(listed) if account in there or account not in done]
    for account in left:
        await _erase_account(database, store, account, actor="job:erasing", now=now)
    return left


async def unreadable(database: Database) -> list[str]:
    """Accounts whose key is not there, though nobody erased them: a backup was restored without what belongs to it."""
    async with database.read() as session:
        has_members = Account.id.in_(select(Member.account_id))
        query = select(Account.id).where(has_members, Account.activated_at.is_not(None)).order_by(Account.id)
        there = (await session.scalars(query)).all()
    return await asyncio.to_thread(database.account_keys.without, there)


async def take_back(database: Database, store: Store, account: AccountId, site: SiteId) -> None:
    """Erase what came in while its site, or its account, was erased."""
    async with database.read() as session:
        is_there = await session.get(Account, account) is not None
    await store.erase(account, Part(site=site) if is_there else Everything())


async def _erase_account(database: Database, store: Store, account: AccountId, *, actor: str, now: datetime) -> Receipt:
    async with database.begin() as session:
        found = await session.get(Account, account)
        if found is not None:
            await session.delete(found)  # who could log in or send is locked out before the files go
            await audit.record(session, actor=actor, action="account.cancelled", account=account, now=now)
    await asyncio.to_thread(database.account_keys.destroy, account)  # an older copy of the rows is noise from now on
    removed = await store.erase(account, Everything())
    async with database.begin() as session:
        return await _receipt(session, account, {"account": account}, removed, {}, actor=actor, now=now)


async def _refuse_held(session: AsyncSession, account: AccountId, now: datetime) -> None:
    query = select(LegalHold.basis).where(LegalHold.account_id == account, LegalHold.ends_at > now)
    if (basis := await session.scalar(query.limit(1))) is not None:
        raise Forbidden(f"the law keeps some of it: {basis}")


async def receipts(session: AsyncSession, account: str) -> Sequence[Receipt]:
    """An account's receipts, newest first."""
    query = select(Receipt).where(Receipt.account_id == account).order_by(Receipt.erased_at.desc(), Receipt.id)
    return (await session.scalars(query)).all()


async def _receipt(
    session: AsyncSession,
    account: str,
    scope: dict[str, str | None],
    removed: Sequence[Removed],
    counts: forgetting.Counts,
    *,
    id: str | None = None,
    actor: str,
    now: datetime,
) -> Receipt:
    made = Receipt(
        id=id or ids.new("rct"),
        account_id=account,
        scope=scope,
        removed={name: {"rows": rows} for name, rows in counts.items()}
        | {one.data_class: {"rows": one.rows, "bytes": one.bytes} for one in removed},
        erased_at=now,
    )
    session.add(made)
    await audit.record(session, actor=actor, action="erased", account=account, subject=made.id, now=now)
    return made
