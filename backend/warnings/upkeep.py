"""What ends without a reading: warnings of paused sites, and of rules that are no longer in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.registry.rule_tables import RuleState
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import Catalogue
from backend.warnings.event import Event
from backend.warnings.past import PREFIX
from backend.warnings.step import Change
from backend.warnings.warning_rows import active


async def sites_to_end(session: AsyncSession, catalogue: Catalogue) -> Sequence[tuple[AccountId, SiteId]]:
    """Account and site of those where `end` has something to do."""
    known = [rule.name for rule in catalogue]
    paused = (
        select(RuleState.account_id, RuleState.site_id)
        .join(Site, Site.id == RuleState.site_id)
        .where(Site.paused_at.is_not(None))
    )
    obsolete = select(Warning.account_id, Warning.site_id).where(
        Warning.resolved_at.is_(None), Warning.rule.not_in(known)
    )
    rows = await session.execute(paused.union(obsolete))
    return sorted((AccountId(account), SiteId(site)) for account, site in rows)


async def end(session: AsyncSession, site: Site, catalogue: Catalogue, *, now: datetime) -> list[Event]:
    """Forget the states that cannot go on; what resolves by that. The caller holds the site's row."""
    account, site_id = AccountId(site.account_id), SiteId(site.id)
    is_paused = site.paused_at is not None
    states = delete(RuleState).where(RuleState.account_id == account, RuleState.site_id == site_id)
    if not is_paused:
        known = [rule.name for rule in catalogue]
        states = states.where(RuleState.rule.not_in(known), ~RuleState.rule.startswith(PREFIX))
    await session.execute(states)
    return [
        Event(machine, rule, Change.RESOLVED, now, resolution="paused" if is_paused else "switched_off")
        for machine, rule in await active(session, account, site_id)
        if is_paused or rule not in catalogue
    ]
