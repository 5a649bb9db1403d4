"""Runs the rules over what arrives, and keeps the registry true to it.

Guarantees:
- `judge` is one transaction: that the batch was judged, states, warnings, outbox. A batch that comes again changes
  nothing. Memory follows the database and never goes before it: a transaction that fails leaves both as they were.
- Two engines over one database fire nothing twice. Each site's row is locked while it is judged, and whoever
  finds that another one judged the site since reads its states anew.
- Firing is decided by readings, in their own time; only `agent_silent`, which is about readings that do not come, is
  decided by the clock (`tick`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import Batch
from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.privacy import restricting
from backend.registry import judged
from backend.registry.database import Database
from backend.registry.rule_tables import RuleState, SiteWatch
from backend.warnings import absence, epochs, upkeep
from backend.warnings.catalogue import Catalogue
from backend.warnings.event import Event
from backend.warnings.hearing import heard, save_watch
from backend.warnings.judgement import Judgement
from backend.warnings.ledger import Ledger
from backend.warnings.machines import forget_gone, save_known
from backend.warnings.overrides import Numbers, Rulebook, check
from backend.warnings.past import PREFIX
from backend.warnings.publish import Publisher, log_events
from backend.warnings.records import (
    ledger_of,
    locked,
    overrides_of,
    save_states,
    watch_of,
)
from backend.warnings.warning_rows import save_episodes

BEHIND: Final = timedelta(minutes=3)
"""A site whose newest reading was that old when it was sent is sending a backlog."""

_log = structlog.get_logger()

_FORGET_EVERY: Final = timedelta(hours=1)


class Engine:
    """The rules of all accounts.

    `settings` changes the catalogue (`[rules.<rule>]`); raises `BadRule` where it cannot. `on_announced` is called
    after a commit that may have written to the outbox.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        outbox: Outbox,
        settings: Mapping[str, Numbers] | None = None,
        *,
        on_announced: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings or {}
        check(catalogue, self._settings)
        self._database = database
        self._catalogue = catalogue
        self._publisher = Publisher(catalogue, outbox)
        self._on_announced = on_announced
        self._ledgers: dict[SiteId, Ledger] = {}
        self._turns: defaultdict[SiteId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._forgot_at: datetime | None = None

    async def judge(self, account: AccountId, site: SiteId, batch: Batch, *, now: datetime) -> bool:
        """Run the rules over a stored batch. When this returns, all that follows from it is durable.

        False: this batch was judged before, nothing changed but when the site was heard. Raises `Missing` when the
        account has no such site (any more).
        """
        async with self._turns[site]:
            async with self._database.begin() as session:
                known = await heard(session, account, site, batch.id, now=now)
                if known is None:
                    return False
                if not known.is_judged:
                    return True
                watch, epoch = known.watch, known.epoch
                ledger = self._ledgers.get(site)
                if ledger is None or ledger.version != watch.version:
                    ledger = await ledger_of(session, watch, self._catalogue, self._settings, before=ledger)
                events: list[Event] = []
                if batch.epoch and epochs.begins(batch, epoch, watch.judged_to):
                    events += await epochs.begin(session, watch, epoch, batch.epoch, now=now)
                    ledger = await ledger_of(session, watch, self._catalogue, self._settings)
                    epoch = batch.epoch
                unsent_since = batch.sent_at - timedelta(seconds=batch.backlog_s)
                judgement = ledger.judge(epochs.readings_of(batch, epoch), unsent_since=unsent_since)
                values = absence.values_of(batch, judgement, now=now)
                of_site = absence.judge_batch(ledger.rulebook, known.states, values, judgement.covers, now=now)
                events += of_site.events + judgement.events
                await save_states(session, account, site, of_site.states | judgement.states, now=now)
                await save_episodes(session, account, site, judgement.episodes, now=now)
                await save_known(session, account, site, {name: judgement.known[name] for name in judgement.to_save})
                _remember(watch, judgement, batch, now)
                await save_watch(session, watch)
                await self._publisher.publish(session, account, site, events, now=now)
                version = watch.version
            ledger.adopt(judgement, version)
            self._ledgers[site] = ledger
        if judgement.too_old:
            _log.info("readings.too_late_to_judge", account=account, site=site, readings=judgement.too_old)
        self._say(account, site, events)
        return True

    async def tick(self, *, now: datetime) -> None:
        """Look at what time alone decides. To be called every few seconds, and at least once a minute: longer breaks
        count as our own outage, during which nobody was silent."""
        async with self._database.read() as session:
            listening_since = await absence.known_listening(session, now=now)
            quiet = await absence.quiet_sites(session, self._catalogue, self._settings, now=now)
            ending = await upkeep.sites_to_end(session, self._catalogue)
        if listening_since is None:
            async with self._database.begin() as session:
                listening_since = await absence.renew_listening(session, now=now)
        for account, site in quiet:
            await self._check_silence(account, site, listening_since, now)
        for account, site in ending:
            await self._end(account, site, now)
        if self._forgot_at is None or now - self._forgot_at >= _FORGET_EVERY:
            async with self._database.begin() as session:
                await judged.forget_old(session, now=now)
                await forget_gone(session, now=now)
            self._forgot_at = now

    async def _check_silence(self, account: AccountId, site: SiteId, listening_since: datetime, now: datetime) -> None:
        async with self._turns[site]:
            async with self._database.begin() as session:
                row = await locked(session, account, site)
                if row is None or row.paused_at is not None or row.last_batch_at is None:
                    return
                if await restricting.holds(session, account):
                    return
                heard_at = max(row.last_batch_at, listening_since)
                watch = await watch_of(session, account, site)
                if now - heard_at < absence.patience(watch.interval_s):
                    return
                rulebook = Rulebook(self._catalogue, self._settings, await overrides_of(session, account), site)
                known = await _site_states(session, site)
                result = absence.judge_silence(rulebook, heard_at, known, now=now)
                await save_states(session, account, site, result.states, now=now)
                await self._publisher.publish(session, account, site, result.events, now=now)
            self._say(account, site, result.events)

    async def _end(self, account: AccountId, site: SiteId, now: datetime) -> None:
        async with self._turns[site]:
            async with self._database.begin() as session:
                row = await locked(session, account, site)
                if row is None:
                    return
                events = await upkeep.end(session, row, self._catalogue, now=now)
                (await watch_of(session, account, site)).version += 1  # who remembers the states has to forget them
                await self._publisher.publish(session, account, site, events, now=now)
            self._say(account, site, events)

    def _say(self, account: AccountId, site: SiteId, events: Sequence[Event]) -> None:
        if events:
            log_events(account, site, events)
            self._on_announced()


async def _site_states(session: AsyncSession, site: str) -> dict[str, tuple[dict[str, Any], datetime]]:
    """Rule → state of the site itself, and when that was written."""
    rows = await session.execute(
        select(RuleState.rule, RuleState.state, RuleState.updated_at).where(
            RuleState.site_id == site, RuleState.machine == "", ~RuleState.rule.startswith(PREFIX)
        )
    )
    return {rule: (state, at) for rule, state, at in rows}


def _remember(watch: SiteWatch, judgement: Judgement, batch: Batch, now: datetime) -> None:
    if judgement.judged_to is not None and judgement.judged_to != watch.judged_to:  # late ones say nothing of now
        is_behind = batch.sent_at - judgement.judged_to > BEHIND
        watch.behind_since = (watch.behind_since or now) if is_behind else None
    watch.version += 1
    watch.judged_to = judgement.judged_to
    watch.interval_s = judgement.interval.total_seconds() if judgement.interval else None
