"""A site's change of keys: every machine has another pseudonym from then on, and those of before do not come again.

A batch with newer readings than any before, under another key than the last one, begins an epoch. What was known of the
machines of before is forgotten, and their warnings end: nothing of them is missing. Which of them became which, nobody
can say. What comes late of a former epoch is history that no rule sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import Batch, Reading
from backend.ids import AccountId, SiteId
from backend.registry.machine_tables import KnownMachine, PausedMachine
from backend.registry.rule_tables import RuleOverride, RuleState, SiteWatch
from backend.warnings.event import Event
from backend.warnings.past import GAP, PREFIX
from backend.warnings.records import save_states
from backend.warnings.step import Change
from backend.warnings.warning_rows import active

_log = structlog.get_logger()

EPOCH: Final = f"{PREFIX}epoch"
"""Where a site's epoch is stored, beside its states."""


def begins(batch: Batch, known: str | None, judged_to: datetime | None) -> bool:
    """Whether this batch begins another epoch than the known one."""
    if batch.epoch is None or batch.epoch == known or not batch.readings:
        return False
    return judged_to is None or max(reading.time for reading in batch.readings) > judged_to


def readings_of(batch: Batch, known: str | None) -> Sequence[Reading]:
    """What the rules see of a batch: nothing of another epoch's."""
    return batch.readings if batch.epoch in (None, known) else ()


async def begin(
    session: AsyncSession, watch: SiteWatch, known: str | None, epoch: str, *, now: datetime
) -> list[Event]:
    """Begin it; what ends by that. The caller holds the site's row, and reads the site's memory anew."""
    account, site = AccountId(watch.account_id), SiteId(watch.site_id)
    await save_states(session, account, site, {("", EPOCH): {"epoch": epoch}}, now=now)
    if known is None:  # the first that is said: nothing ends by that
        return []
    await _log_left(session, account, site)
    of_site = (RuleState.account_id == account, RuleState.site_id == site)
    await session.execute(delete(RuleState).where(*of_site, (RuleState.machine != "") | (RuleState.rule == GAP)))
    await session.execute(delete(KnownMachine).where(KnownMachine.account_id == account, KnownMachine.site_id == site))
    return [
        Event(machine, rule, Change.RESOLVED, now, resolution="new_key")
        for machine, rule in await active(session, account, site)
        if machine
    ]


async def _log_left(session: AsyncSession, account: AccountId, site: SiteId) -> None:
    """Say how much was set for single machines: it stays with their old names, and people have to set it anew."""
    paused = select(func.count()).select_from(PausedMachine).where(PausedMachine.site_id == site)
    changed = (
        select(func.count())
        .select_from(RuleOverride)
        .where(RuleOverride.account_id == account, RuleOverride.site_id.in_((site, "")), RuleOverride.machine != "")
    )
    _log.warning(
        "epoch.begun",
        account=account,
        site=site,
        pauses_left_behind=await session.scalar(paused),
        thresholds_left_behind=await session.scalar(changed),
    )
