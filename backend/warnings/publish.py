"""What a change of state brings about, in its own transaction: the warning's row and the outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.registry.site_tables import Site
from backend.warnings.catalogue import Catalogue
from backend.warnings.event import Event
from backend.warnings.severity import Severity
from backend.warnings.step import Change
from backend.warnings.warning_rows import save_events

_log = structlog.get_logger()

_MOST_LINES: Final = 100  # of one batch


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes events down and says in the outbox that there is something to tell."""

    catalogue: Catalogue
    outbox: Outbox

    async def publish(
        self, session: AsyncSession, account: AccountId, site: SiteId, events: Sequence[Event], *, now: datetime
    ) -> None:
        """All of it inside the caller's transaction, which holds the site's row."""
        if not events:
            return
        over = await save_events(session, account, site, events, now=now)
        severities = {
            event.severity
            for event in events
            if event.severity is not None and event.change in (Change.FIRED, Change.ESCALATED)
        }
        if any(self._lets_go(event) for event in events):
            severities.update(Severity)  # what it held back may be told now
        await self.outbox.announce(session, account, site, severities=severities, over=over, now=now)

    async def tell_anew(self, session: AsyncSession, site: Site, *, now: datetime) -> None:
        """Something that kept messages back has ended: whoever has something to be told is told."""
        account, site_id = AccountId(site.account_id), SiteId(site.id)
        await self.outbox.announce(session, account, site_id, severities=set(Severity), now=now)

    def _lets_go(self, event: Event) -> bool:
        rule = self.catalogue.get(event.rule)
        return event.change is Change.RESOLVED and rule is not None and bool(rule.holds_back)


def log_events(account: str, site: str, events: Sequence[Event]) -> None:
    """Say what changed, when the database has it; of an outage how much, and no line a machine."""
    for event in events[:_MOST_LINES]:
        _log.info(
            f"warning.{event.change.value}",
            account=account,
            site=site,
            machine=event.machine or None,
            rule=event.rule,
            severity=event.severity and event.severity.value,
            at=event.at.isoformat(),
        )
    rest = Counter((event.change.value, event.rule) for event in events[_MOST_LINES:])
    for (change, rule), count in rest.items():
        _log.info(f"warning.{change}", account=account, site=site, rule=rule, and_more=count)
