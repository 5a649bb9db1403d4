"""The outbox: that a contact is to be told of something at a site, and when.

There is at most one unsent message a contact and site; the database says so. It holds no list of what to tell: that is
decided when it is sent (`agenda`), so that whatever happens until then goes into the same message, and what is over by
then is told to nobody. Rows are written in the transaction of the state change that causes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.config import Notify
from backend.ids import AccountId, SiteId
from backend.notify.routing import Audience
from backend.registry.notify_tables import Contact, OutboxMessage, Telling
from backend.registry.site_tables import Site
from backend.warnings.severity import Severity

GIVE_UP: Final = timedelta(hours=24)
"""A message that could not be sent for so long has failed."""

KIND: Final = "warnings"
"""Of messages whose words are decided when they are sent, from what fires."""


def dedup_key(site: str, contact: str) -> str:
    """What two messages about the same have in common."""
    return f"{site}:{contact}"


class Outbox:
    """Where the engine says that there is something to tell."""

    def __init__(self, settings: Notify) -> None:
        self._group_wait = timedelta(seconds=settings.group_wait_s)
        self._update = timedelta(seconds=settings.update_s)

    async def announce(
        self,
        session: AsyncSession,
        account: AccountId,
        site: SiteId,
        *,
        severities: Iterable[Severity] = (),
        over: Sequence[str] = (),
        now: datetime,
    ) -> None:
        """See to it that a message is on its way to whoever is told of these severities, and to whoever was told of the
        warnings that are now over: after the group wait, and not sooner after the last one than updates may be.
        """
        recipients = await _told(session, over)
        if wanted_severities := set(severities):
            audience = await Audience.of(session, account)
            recipients |= {each.id: each for each in audience.told(wanted_severities, site)}
        if not recipients:
            return
        wanted = {dedup_key(site, contact): recipients[contact] for contact in sorted(recipients)}
        last = await last_sent(session, wanted.keys())
        for _ in range(3):  # whoever just sent one may open the next one at the same moment
            await self._bring_forward(session, wanted, last, now)
            rows = [
                new_row(site, contact, due_at=self._due(key, last, now), now=now) for key, contact in wanted.items()
            ]
            if not (wanted := await _refused(session, rows, wanted)):
                return
        raise RuntimeError("the outbox changed under each of three tries to write to it")

    async def _bring_forward(
        self, session: AsyncSession, wanted: dict[str, Contact], last: dict[str, datetime], now: datetime
    ) -> None:
        """Take the unsent messages that are there out of `wanted`, and make them due in time.

        One that is being sent, or sent again after a failure, stays as it is: when it has left, the next one follows.
        """
        rows = await session.scalars(
            select(OutboxMessage)
            .where(
                OutboxMessage.dedup_key.in_(list(wanted)),
                OutboxMessage.sent_at.is_(None),
                OutboxMessage.failed_at.is_(None),
            )
            .order_by(OutboxMessage.dedup_key)
            .with_for_update()
        )
        for row in rows.all():
            due_at = self._due(row.dedup_key, last, now)
            if row.attempts == 0 and due_at < row.due_at:
                row.due_at, row.expires_at = due_at, due_at + GIVE_UP
            del wanted[row.dedup_key]
        await session.flush()

    def _due(self, key: str, last: dict[str, datetime], now: datetime) -> datetime:
        due_at = now + self._group_wait
        return max(due_at, last[key] + self._update) if key in last else due_at


async def look_again(session: AsyncSession, contact: Contact, *, now: datetime) -> None:
    """A contact is new, or wants other things: see at each site whether there is something to tell it now."""
    sites = await session.scalars(select(Site.id).where(Site.account_id == contact.account_id))
    await insert_new(session, [new_row(site, contact, due_at=now, now=now) for site in sites])


async def last_sent(session: AsyncSession, keys: Iterable[str]) -> dict[str, datetime]:
    """When the last message of each key left."""
    rows = await session.execute(
        select(OutboxMessage.dedup_key, func.max(OutboxMessage.sent_at))
        .where(OutboxMessage.dedup_key.in_(list(keys)), OutboxMessage.sent_at.is_not(None))
        .group_by(OutboxMessage.dedup_key)
    )
    return {key: at for key, at in rows if at is not None}


def new_row(site: str, contact: Contact, *, due_at: datetime, now: datetime) -> dict[str, Any]:
    """A message that is to be sent, as a row."""
    return {
        "id": ids.new("msg"),
        "account_id": contact.account_id,
        "site_id": site,
        "member_id": contact.member_id,
        "contact_id": contact.id,
        "channel": contact.channel,
        "kind": KIND,
        "dedup_key": dedup_key(site, contact.id),
        "body": {},
        "created_at": now,
        "due_at": due_at,
        "expires_at": due_at + GIVE_UP,
        "attempts": 0,
    }


async def insert_new(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Insert messages unless one with the key is unsent; the keys that were inserted."""
    if not rows:
        return set()
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(OutboxMessage).on_conflict_do_nothing().returning(OutboxMessage.dedup_key)
    return set((await session.scalars(statement, rows)).all())


async def _refused(
    session: AsyncSession, rows: Sequence[dict[str, Any]], wanted: dict[str, Contact]
) -> dict[str, Contact]:
    inserted = await insert_new(session, rows)
    return {key: contact for key, contact in wanted.items() if key not in inserted}


async def _told(session: AsyncSession, warnings: Sequence[str]) -> dict[str, Contact]:
    recipients: dict[str, Contact] = {}
    for start in range(0, len(warnings), 500):
        told = select(Telling.contact_id).where(
            Telling.warning_id.in_(warnings[start : start + 500]), Telling.over_message_id.is_(None)
        )
        rows = await session.scalars(select(Contact).where(Contact.id.in_(told)))
        recipients |= {each.id: each for each in rows}
    return recipients
