"""How long each class of the registry's data is kept, and what goes when its window ends unless a hold keeps it.

The store keeps its own classes (`telemetry_raw`, `telemetry_rollup`) by the same windows. Data past its window cannot
be read: each sweep, every minute, deletes it, and the database overwrites what is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from backend import ids
from backend.privacy import audit
from backend.registry.errors import Invalid, Missing
from backend.registry.privacy_tables import AuditEntry, Feedback, LegalHold, SupportBundle, Visit, Window
from backend.registry.tables import Account, OutboxMessage, Warning

DEFAULTS: Final[Mapping[str, int]] = {
    "warnings": 365,
    "notifications": 90,
    "support": 30,
    "feedback": 180,
}
"""Class → days, of what each account may choose for itself."""

AUDIT_LOG: Final = timedelta(days=730)
"""For all accounts together: a chain is cut at its beginning only."""

ACCESS_LOG: Final = timedelta(days=30)
"""For all visits of the web pages: they belong to no account."""

_LONGEST_DAYS: Final = 3_650

_Column = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]
_ENDS: Final[Mapping[str, tuple[Any, _Column]]] = {
    "warnings": (Warning, Warning.resolved_at),
    "notifications": (OutboxMessage, OutboxMessage.created_at),
    "support": (SupportBundle, SupportBundle.received_at),
    "feedback": (Feedback, Feedback.received_at),
}
"""Class → its table, and the time that its window counts from."""


async def of(session: AsyncSession, account: str) -> dict[str, timedelta]:
    """Each class's window."""
    chosen = {
        row.data_class: row.days for row in await session.scalars(select(Window).where(Window.account_id == account))
    }
    return {name: timedelta(days=chosen.get(name, days)) for name, days in DEFAULTS.items()}


async def choose(session: AsyncSession, account: str, data_class: str, days: int) -> None:
    """Keep a class so long from now on. Raises `Invalid`."""
    if data_class not in DEFAULTS:
        raise Invalid(f"a class is one of {', '.join(DEFAULTS)}")
    if not 1 <= days <= _LONGEST_DAYS:
        raise Invalid(f"a window is 1 to {_LONGEST_DAYS} days")
    await session.merge(Window(account_id=account, data_class=data_class, days=days))


async def oldest(session: AsyncSession, account: str) -> dict[str, datetime | None]:
    """The time of each class's oldest record."""
    found = {}
    for name, (table, column) in _ENDS.items():
        found[name] = await session.scalar(select(func.min(column)).where(table.account_id == account))
    return found


async def hold(
    session: AsyncSession, account: str, data_class: str, *, basis: str, days: int, now: datetime
) -> LegalHold:
    """Keep a class past its window until the hold ends. Raises `Invalid`."""
    if data_class not in DEFAULTS:
        raise Invalid(f"a class is one of {', '.join(DEFAULTS)}")
    if len(basis.strip()) < 10:
        raise Invalid("say on what basis, in ten characters at least")
    made = LegalHold(
        id=ids.new("hld"),
        account_id=account,
        data_class=data_class,
        basis=basis.strip(),
        since=now,
        ends_at=now + timedelta(days=days),
    )
    session.add(made)
    await audit.record(session, actor="command", action="hold", account=account, subject=made.id, now=now)
    return made


async def release(session: AsyncSession, hold_id: str, *, now: datetime) -> None:
    """End a hold now. Raises `Missing`."""
    found = await session.get(LegalHold, hold_id)
    if found is None:
        raise Missing("there is no such hold")
    found.ends_at = min(found.ends_at, now)
    await audit.record(session, actor="command", action="hold.end", account=found.account_id, subject=hold_id, now=now)


async def sweep(session: AsyncSession, *, now: datetime) -> dict[str, int]:
    """Delete what is past its window and not held; how many rows, by class."""
    gone: dict[str, int] = {}
    for account in await session.scalars(select(Account.id)):
        held = set(
            await session.scalars(
                select(LegalHold.data_class).where(LegalHold.account_id == account, LegalHold.ends_at > now)
            )
        )
        for name, window in (await of(session, account)).items():
            if name not in held:
                table, column = _ENDS[name]
                is_over: ColumnElement[bool] = column < now - window
                where = (table.account_id == account, is_over)
                count = await session.scalar(select(func.count()).select_from(table).where(*where))
                if count:
                    await session.execute(delete(table).where(*where))
                    gone[name] = gone.get(name, 0) + count
    if await session.scalar(select(Visit.id).where(Visit.at < now - ACCESS_LOG).limit(1)) is not None:
        over = await session.execute(delete(Visit).where(Visit.at < now - ACCESS_LOG).returning(Visit.id))
        gone["access_log"] = len(over.all())
    if await session.scalar(select(func.min(AuditEntry.at))) is not None and not await _is_any_held(session, now):
        gone["audit_log"] = await audit.forget_before(session, now - AUDIT_LOG)
    return {name: count for name, count in gone.items() if count}


async def _is_any_held(session: AsyncSession, now: datetime) -> bool:
    return await session.scalar(select(LegalHold.id).where(LegalHold.ends_at > now).limit(1)) is not None
