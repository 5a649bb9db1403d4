"""Exports: asked for by an owner, made in the background, fetched for three days, then gone.

The file is sealed with a key of its own, which is in the registry (sealed itself): a stolen disk shows nothing, and
cancelling the account ends what is left of it. Made anew when the service died while it was made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.privacy import archive, audit, sealed_file
from backend.registry.database import Database
from backend.registry.errors import Missing, Taken
from backend.registry.rights_tables import Export
from backend.store.errors import StoreUnavailable
from backend.store.protocol import Store

log = structlog.get_logger()

KEPT: Final = timedelta(days=3)
"""So long an archive can be fetched."""


async def ask(session: AsyncSession, account: AccountId, by: str, *, legal: str | None = None, now: datetime) -> Export:
    """One more archive. Raises `Taken` while one is being made."""
    query = select(Export.id).where(
        Export.account_id == account, _is_for(legal), Export.ready_at.is_(None), Export.failed_at.is_(None)
    )
    if await session.scalar(query.limit(1)) is not None:
        raise Taken("one is being made: wait for it")
    made = Export(
        id=ids.new("exp"),
        account_id=account,
        legal_id=legal,
        asked_by=by,
        asked_at=now,
        file_key=sealed_file.new_key(),
    )
    session.add(made)
    await session.flush()
    return made


async def listed(session: AsyncSession, account: AccountId) -> Sequence[Export]:
    """The account's own, newest first."""
    query = select(Export).where(Export.account_id == account, _is_for(None))
    return (await session.scalars(query.order_by(Export.asked_at.desc(), Export.id))).all()


async def find(session: AsyncSession, account: AccountId, export: str, *, now: datetime) -> Export:
    """One of the account's that can be fetched. Raises `Missing`."""
    query = select(Export).where(Export.account_id == account, Export.id == export, _is_for(None))
    return _fetchable(await session.scalar(query), now)


async def find_legal(session: AsyncSession, legal: str, *, now: datetime) -> Export:
    """The newest that was made for a legal disclosure. Raises `Missing`."""
    query = select(Export).where(Export.legal_id == legal).order_by(Export.asked_at.desc()).limit(1)
    return _fetchable(await session.scalar(query), now)


class Exports:
    """Makes archives, one at a time, and removes them."""

    def __init__(self, database: Database, store: Store, folder: Path) -> None:
        self._database = database
        self._store = store
        self._folder = folder

    async def do(self, *, now: datetime) -> None:
        """Make what is asked for; remove what nobody may fetch any more."""
        async with self._database.read() as session:
            over = or_(Export.expires_at <= now, Export.failed_at <= now - KEPT)
            gone = (await session.scalars(select(Export.id).where(over))).all()
            waiting = (
                await session.scalars(
                    select(Export)
                    .where(Export.ready_at.is_(None), Export.failed_at.is_(None))
                    .order_by(Export.asked_at)
                )
            ).all()
        if gone:
            async with self._database.begin() as session:
                for export in gone:
                    await session.delete(await session.get_one(Export, export))
        for each in waiting:
            await self._make(each, now)
        await self._remove_strangers()

    def content(self, export: Export) -> Iterator[bytes]:
        """The archive, a piece at a time. Raises `Missing`: its file is not on this machine."""
        file = self._file(export.id)
        if not file.exists():
            raise Missing("there is no such archive, or not yet, or no more")
        return sealed_file.read(file, export.file_key)

    async def _make(self, export: Export, now: datetime) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sink = sealed_file.SealedWriter(self._file(export.id), export.file_key)
        account = AccountId(export.account_id)
        try:
            await archive.write(sink, self._database, self._store, account, export=export.id, format="parquet", now=now)
            await asyncio.to_thread(sink.close)
        except (archive.Stopped, StoreUnavailable) as error:
            sink.abandon()
            log.warning("export.put_off", export=export.id, reason=type(error).__name__)
            return
        except Exception:
            sink.abandon()
            log.exception("export.failed", export=export.id)
            async with self._database.begin() as session:
                if (found := await session.get(Export, export.id)) is not None:
                    found.failed_at = now
            return
        async with self._database.begin() as session:
            found = await session.get(Export, export.id)
            if found is None:
                return  # the account went meanwhile, and its key with it
            found.ready_at, found.expires_at, found.bytes = now, now + KEPT, sink.written
            await audit.record(
                session, actor="job:exports", action="export.made", account=account, subject=export.id, now=now
            )
        log.info("export.made", export=export.id, bytes=sink.written)

    async def _remove_strangers(self) -> None:
        """Files that are in no row: of what expired, of accounts that are gone."""
        if not self._folder.is_dir():
            return
        there = {file.stem: file for file in self._folder.glob("*.sealed")}
        async with self._database.read() as session:
            known = set(await session.scalars(select(Export.id).where(Export.id.in_(there))))
        for name in there.keys() - known:
            there[name].unlink(missing_ok=True)

    def _file(self, export: str) -> Path:
        return self._folder / f"{export}.sealed"


def _is_for(legal: str | None) -> ColumnElement[bool]:
    return Export.legal_id.is_(None) if legal is None else Export.legal_id == legal


def _fetchable(found: Export | None, now: datetime) -> Export:
    if found is None or found.ready_at is None or found.expires_at is None or found.expires_at <= now:
        raise Missing("there is no such archive, or not yet, or no more")
    return found
