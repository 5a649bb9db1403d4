"""The digest: once a day or a week, what there was, for who wants to know it without being called.

One is opened when it is due, in one transaction with the time of the next; what it says is looked up when it is sent.
Nothing to say, no mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.costs import Cost
from backend.notify.outbox import GIVE_UP, insert_new
from backend.registry.contacts import next_digest
from backend.registry.database import Database
from backend.registry.notify_tables import Contact
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning

KIND: Final = "digest"
PERIODS: Final = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}

AT_ONCE: Final = 500
_MOST: Final = 2_000
"""Warnings that one digest looks at; a farm with more had other mails about them."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What happened at one account's sites from `since` to `until`, each site's worst and oldest first."""

    since: datetime
    until: datetime
    every: str
    sites: Sequence[tuple[Site, Sequence[Warning]]]
    billed: Sequence[Site] = ()  # those with a tariff
    costs: Sequence[Cost] = ()  # looked up before it is sent


async def open_due(database: Database, *, now: datetime) -> int:
    """Open each digest that is due; how many. Who was never asked gets the first one at the next time.

    A transaction opens no more than `AT_ONCE`: at eight in the morning many are due, and others want to write, too.
    """
    count = 0
    while True:
        found, opened = await _open_some(database, now)
        count += opened
        if found < AT_ONCE:
            return count


async def _open_some(database: Database, now: datetime) -> tuple[int, int]:
    """How many contacts were due, and how many digests that opened."""
    async with database.begin() as session:
        found = await session.scalars(
            select(Contact)
            .where(
                Contact.digests != "none",
                Contact.channel == "email",
                or_(Contact.digest_due_at.is_(None), Contact.digest_due_at <= now),
            )
            .order_by(Contact.id)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        due = found.all()
        rows = [_row(contact, now) for contact in due if contact.digest_due_at is not None]
        for contact in due:
            contact.digest_due_at = next_digest(contact, now)
        await session.flush()
        return len(due), len(await insert_new(session, rows))


async def gather(session: AsyncSession, contact: Contact, body: dict[str, Any]) -> Digest | None:
    """What a digest says; None when there is nothing to say."""
    since, until = datetime.fromisoformat(body["since"]), datetime.fromisoformat(body["until"])
    rows = await session.execute(
        select(Warning, Site)
        .join(Site, Site.id == Warning.site_id)
        .where(
            Warning.account_id == contact.account_id,
            Warning.started_at <= until,
            or_(Warning.resolved_at.is_(None), Warning.resolved_at > since),
        )
        .order_by(Site.name, Warning.started_at, Warning.id)
        .limit(_MOST)
    )
    by_site: dict[str, tuple[Site, list[Warning]]] = {}
    for warning, site in rows:
        if not contact.sites or site.id in contact.sites:
            by_site.setdefault(site.id, (site, []))[1].append(warning)
    tariffs = select(Site).where(Site.account_id == contact.account_id, Site.tariff_per_kwh.is_not(None))
    billed = [
        site
        for site in await session.scalars(tariffs.order_by(Site.name))
        if not contact.sites or site.id in contact.sites
    ]
    if not by_site and not billed:
        return None
    return Digest(since, until, body["every"], list(by_site.values()), billed)


def _row(contact: Contact, now: datetime) -> dict[str, Any]:
    until = contact.digest_due_at or now
    return {
        "id": ids.new("msg"),
        "account_id": contact.account_id,
        "site_id": None,
        "member_id": contact.member_id,
        "contact_id": contact.id,
        "channel": contact.channel,
        "kind": KIND,
        "dedup_key": f"{KIND}:{contact.id}",
        "body": {
            "since": (until - PERIODS[contact.digests]).isoformat(),
            "until": until.isoformat(),
            "every": contact.digests,
        },
        "created_at": now,
        "due_at": now,
        "expires_at": now + GIVE_UP,
        "attempts": 0,
    }
