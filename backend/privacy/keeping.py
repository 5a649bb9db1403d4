"""What is kept of an account: of each class how long, since when, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.ids import AccountId
from backend.privacy import windows
from backend.registry.database import Database
from backend.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Kept:
    """One class of data."""

    data_class: str
    window: timedelta
    oldest: datetime | None  # the time of the oldest record; None: there is none
    bytes: int | None  # on disk; None: the registry does not tell an account's share (nor does InfluxDB, which says 0)


async def report(database: Database, store: Store, account: AccountId) -> Sequence[Kept]:
    """Each class that an account may choose a window for, and the log of what was looked at."""
    async with database.read() as session:
        chosen = await windows.of(session, account)
        oldest = await windows.oldest(session, account)
    stored, oldest_stored, used = (
        await store.windows(account),
        await store.oldest(account),
        await store.usage(account),
    )
    return [
        *(Kept(name, window, oldest_stored[name], used[name]) for name, window in stored.items()),
        *(Kept(name, window, oldest[name], None) for name, window in chosen.items()),
        Kept("access_log", windows.ACCESS_LOG, None, None),  # of all accounts together
    ]
