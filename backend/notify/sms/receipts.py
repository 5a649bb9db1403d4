"""What gateways say later of texts that they took: delivered, or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.notify import failing
from backend.notify.outbox import Outbox
from backend.notify.routing import Channel
from backend.registry.notify_tables import OutboxMessage

PATH: Final = "/v1/callbacks/"

_RANKS: Final = {None: 0, "sent": 1, "failed": 2, "delivered": 3}
"""They come in any order: a later word counts when it says more."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a text: sent, delivered or failed."""

    state: str
    code: str  # of the gateway's, when it failed
    is_contact_bad: bool = False


def receipt_url(public_url: str, provider: str, message: str) -> str:
    """Where a gateway says it; the message's id is in the address, which its signature covers."""
    return f"{public_url.rstrip('/')}{PATH}{provider}?message={quote(message)}"


async def record(session: AsyncSession, message: str, receipt: Receipt, outbox: Outbox, *, now: datetime) -> bool:
    """Write it down; False when there is no such text (its window ended). Said again, it changes nothing."""
    row = await session.get(OutboxMessage, message, with_for_update=True)
    if row is None or row.channel != Channel.SMS:
        return False
    if _RANKS[receipt.state] <= _RANKS[row.delivery]:
        return True
    row.delivery, row.delivery_at = receipt.state, now
    if receipt.state == "failed":
        row.last_error = f"not delivered, says the SMS gateway: {receipt.code or 'no reason given'}"[:500]
        _log.warning("message.not_delivered", message=message, code=receipt.code)
        if receipt.is_contact_bad and row.contact_id is not None:
            await failing.mark(session, row.contact_id, row.last_error, outbox, now=now)
    return True
