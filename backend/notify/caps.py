"""How many texts of warnings an account may get in 24 hours. After them one last text says that there will be no more.

Notices (codes that somebody waits for) are limited where they are asked for and do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.notify.outbox import KIND
from backend.notify.routing import Channel
from backend.registry.account_tables import Account
from backend.registry.notify_tables import OutboxMessage

DAY: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Room:
    """Whether one more text may go."""

    is_last: bool = False  # it is the one that says that there will be no more
    again_at: datetime | None = None  # none may, before this


async def room(session: AsyncSession, account: str, most: int, *, now: datetime) -> Room:
    """Asked in the transaction that claims the text. Two backends that ask at once take turns: the account's row is
    theirs until they are done (weakly, so that new messages of the account can be written meanwhile).
    """
    await session.get_one(Account, account, with_for_update={"key_share": True})
    rows = await session.execute(
        select(OutboxMessage.sent_at, OutboxMessage.body["is_last"].as_boolean())
        .where(
            OutboxMessage.account_id == account,
            OutboxMessage.channel == Channel.SMS.value,
            OutboxMessage.kind == KIND,
            OutboxMessage.failed_at.is_(None),
            or_(
                OutboxMessage.sent_at > now - DAY,
                and_(OutboxMessage.sent_at.is_(None), OutboxMessage.claimed_until > now),  # under way
            ),
        )
        .order_by(OutboxMessage.sent_at)
    )
    taken = [(sent_at or now, bool(is_last)) for sent_at, is_last in rows]
    told = [sent_at for sent_at, is_last in taken if not is_last]
    if len(told) < most:
        return Room()
    if len(told) == len(taken):
        return Room(is_last=True)
    return Room(again_at=min(told) + DAY)
