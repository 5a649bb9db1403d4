"""How long each class of the registry's data is kept, and what goes when its window ends unless a hold keeps it.

The store has the windows of its own classes (`telemetry_raw`, `telemetry_rollup`); holds of all classes are here. What
is swept cannot be read any more, and the database overwrites what is deleted.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from backend import ids
from backend.privacy import audit
from backend.registry.errors import Invalid, Missing
from backend.registry.notify_tables import OutboxMessage
from backend.registry.privacy_tables import AuditEntry, Feedback, LegalHold, SupportBundle, Visit, Window
from backend.registry.rights_tables import Disclosure
from backend.registry.warning_tables import Warning
from backend.store.protocol import DEFAULT_WINDOWS

DEFAULTS: Final[Mapping[str, int]] = {
    "warnings": 365,
    "notifications": 90,
    "support": 30,
    "feedback": 180,
    "disclosures": 1_095,
}
"""Class → days, of what each account may choose for itself."""

HOLDABLE: Final = (*DEFAULT_WINDOWS, *DEFAULTS)
"""Classes that a legal hold can keep."""

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
    "disclosures": (Disclosure, Disclosure.at),
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
    if data_class not in HOLDABLE:
        raise Invalid(f"a class is one of {', '.join(HOLDABLE)}")
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


async def held(session: AsyncSession, account: str, *, now: datetime) -> frozenset[str]:
    """The classes that a hold keeps."""
    query = select(LegalHold.data_class).where(LegalHold.account_id == account, LegalHold.ends_at > now)
    return frozenset(await session.scalars(query))


async def sweep(session: AsyncSession, account: str, held: Container[str], *, now: datetime) -> dict[str, int]:
    """Delete what of an account is past its window and not held; how many rows, by class."""
    gone: dict[str, int] = {}
    for name, window in (await of(session, account)).items():
        if name not in held:
            table, column = _ENDS[name]
            where = (table.account_id == account, column < now - window)
            deleted = cast("CursorResult[Any]", await session.execute(delete(table).where(*where)))
            if deleted.rowcount:
                gone[name] = deleted.rowcount
    return gone


async def sweep_logs(session: AsyncSession, *, now: datetime) -> dict[str, int]:
    """Delete entries past their window from the logs of all accounts together; how many rows, by class.

    The audit log stays whole while any hold is in force.
    """
    seen = cast("CursorResult[Any]", await session.execute(delete(Visit).where(Visit.at < now - ACCESS_LOG)))
    gone = {"access_log": seen.rowcount}
    if await session.scalar(select(func.min(AuditEntry.at))) is not None and not await _is_any_held(session, now):
        gone["audit_log"] = await audit.forget_before(session, now - AUDIT_LOG)
    return {name: count for name, count in gone.items() if count}


async def _is_any_held(session: AsyncSession, now: datetime) -> bool:
    return await session.scalar(select(LegalHold.id).where(LegalHold.ends_at > now).limit(1)) is not None
