"""What is past its window and not held goes, of every account and class, from the registry and from the store.

No read of the store sees past a window from the moment it is set; the registry's rows go within `EVERY`. What went is
in the audit log, by class: how much and of which time, not what it was. Killed anywhere and done again, it takes what
is left; of what a kill comes right after, the log does not tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from backend.ids import AccountId
from backend.privacy import audit, windows
from backend.registry.account_tables import Account
from backend.registry.database import Database
from backend.store.protocol import DEFAULT_WINDOWS, Hold, Removed, Store

EVERY: Final = timedelta(minutes=30)
"""Promised is an hour until nobody can read what is past, and a day until the disk has its space back."""

_ACTOR: Final = "job:retention"
_ACTION: Final = "retention.swept"


class Sweeper:
    """Sweeps when it is time to."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store
        self._swept_at: datetime | None = None

    async def do(self, *, now: datetime) -> None:
        """Sweep if the last time is `EVERY` ago; to be called often. Raises as `sweep` does."""
        if self._swept_at is None or now - self._swept_at >= EVERY:
            self._swept_at = now
            await sweep(self._database, self._store, now=now)


async def sweep(database: Database, store: Store, *, now: datetime) -> None:
    """Sweep all accounts. One that fails does not stop the others; raises `ExceptionGroup` when all were tried."""
    async with database.begin() as session:
        for data_class, rows in (await windows.sweep_logs(session, now=now)).items():
            await audit.record(session, actor=_ACTOR, action=_ACTION, subject=f"{data_class}: {rows} rows", now=now)
    async with database.read() as session:
        accounts = list(await session.scalars(select(Account.id)))
    failures: list[Exception] = []
    for account in accounts:
        try:
            await _sweep_account(database, store, AccountId(account), now)
        except Exception as error:  # noqa: BLE001 - the others' data has to go all the same; raised in the end
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(accounts)} accounts could not be swept", failures)


async def _sweep_account(database: Database, store: Store, account: AccountId, now: datetime) -> None:
    async with database.begin() as session:
        held = await windows.held(session, account, now=now)
        for data_class, rows in (await windows.sweep(session, account, held, now=now)).items():
            subject = f"{data_class}: {rows} rows"
            await audit.record(session, actor=_ACTOR, action=_ACTION, account=account, subject=subject, now=now)
    holds = {data_class: Hold() for data_class in DEFAULT_WINDOWS if data_class in held}
    removed = await store.sweep(account, now=now, holds=holds)
    if removed:
        async with database.begin() as session:
            for one in removed:
                await audit.record(session, actor=_ACTOR, action=_ACTION, account=account, subject=_told(one), now=now)


def _told(removed: Removed) -> str:
    """At most 100 characters."""
    ends = (f"{time:%Y-%m-%dT%H:%MZ}" if time is not None else "?" for time in (removed.start, removed.end))
    return f"{removed.data_class}: {removed.rows} rows, {removed.bytes} bytes, {'..'.join(ends)}"
