"""The rules' rows in the registry: reading a site's memory, writing what a judgement changed.

All of it inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.registry.tables import (
    PausedMachine,
    RuleOverride,
    RuleState,
    Site,
    SiteWatch,
    Warning,
    WarningChange,
)
from backend.warnings.catalogue import Catalogue
from backend.warnings.event import Event
from backend.warnings.known import Known
from backend.warnings.ledger import Ledger
from backend.warnings.machines import declarations_of, known_of
from backend.warnings.overrides import Numbers, Override, Rulebook
from backend.warnings.past import GAP, PREFIX, Episode, Late, Past, gap_from_json, past_state
from backend.warnings.severity import Severity
from backend.warnings.step import Change, State, from_json

_AT_ONCE: Final = 200
"""Keys in one statement; SQLite takes 32,766 parameters and plans long lists slowly."""


async def locked(session: AsyncSession, account: AccountId, site: SiteId) -> Site | None:
    """The site's row, ours until the transaction ends."""
    row: Site | None = await session.scalar(
        select(Site).where(Site.id == site, Site.account_id == account).with_for_update()
    )
    return row


async def watch_of(session: AsyncSession, account: AccountId, site: SiteId) -> SiteWatch:
    """The site's watch, a new one when it has none yet. The caller holds the site's row."""
    watch = await session.get(SiteWatch, site)
    if watch is None:
        watch = SiteWatch(site_id=site, account_id=account, version=0)
        session.add(watch)
    return watch


async def overrides_of(session: AsyncSession, account: AccountId) -> list[Override]:
    """What the account changed of the rules."""
    rows = await session.scalars(select(RuleOverride).where(RuleOverride.account_id == account))
    return [
        Override(
            rule=row.rule,
            numbers=row.numbers,
            site=SiteId(row.site_id) if row.site_id else None,
            model=row.model or None,
            machine=row.machine or None,
        )
        for row in rows
    ]


async def ledger_of(
    session: AsyncSession,
    watch: SiteWatch,
    catalogue: Catalogue,
    settings: Mapping[str, Numbers],
    *,
    before: Ledger | None = None,
) -> Ledger:
    """The site's memory as the database has it. `before` remembers more of machines than what had to be written."""
    account, site = AccountId(watch.account_id), SiteId(watch.site_id)
    overrides = await overrides_of(session, account)
    paused = await session.scalars(select(PausedMachine.machine).where(PausedMachine.site_id == site))
    rows = await session.execute(
        select(RuleState.machine, RuleState.rule, RuleState.state).where(
            RuleState.account_id == account, RuleState.site_id == site, RuleState.machine != ""
        )
    )
    # A reading of the very time that was judged last may still come: another machine's, in the next batch.
    at = watch.judged_to - timedelta(microseconds=1) if watch.judged_to else None
    stored = [(machine, rule, state) for machine, rule, state in rows]
    states: dict[str, dict[str, State]] = {}
    for machine, rule, state in stored:
        if rule in catalogue:
            states.setdefault(machine, {})[rule] = from_json(catalogue[rule], state, at=at)
    return Ledger(
        Rulebook(catalogue, settings, overrides, site),
        version=watch.version,
        judged_to=watch.judged_to,
        interval=timedelta(seconds=watch.interval_s) if watch.interval_s else None,
        states=states,
        paused=frozenset(paused),
        known=_newer(await known_of(session, account, site), before.known if before is not None else {}),
        declarations=await declarations_of(session, account, site),
        late=await _late(session, site, catalogue, stored),
    )


def _newer(stored: Mapping[str, Known], ours: Mapping[str, Known]) -> dict[str, Known]:
    """What the registry has of machines, or what we remember of them when that is newer."""
    return {name: mine if (mine := ours.get(name)) and mine.at >= each.at else each for name, each in stored.items()}


async def _late(
    session: AsyncSession, site: SiteId, catalogue: Catalogue, stored: Iterable[tuple[str, str, dict[str, Any]]]
) -> Late | None:
    """What came late so far, if anything does."""
    row = await session.scalar(
        select(RuleState.state).where(RuleState.site_id == site, RuleState.machine == "", RuleState.rule == GAP)
    )
    if row is None:
        return None
    gap = gap_from_json(row)
    pasts: dict[str, Past] = {}
    for machine, name, data in stored:
        rule = catalogue.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
        if rule is None:
            continue
        state, fired = past_state(rule, data, machine, gap.at)
        before = pasts.get(machine) or Past(gap.at, {}, {})
        pasts[machine] = Past(
            gap.at,
            {**before.states, rule.name: state} if state != State() else before.states,
            {**before.fired, rule.name: fired} if fired else before.fired,
        )
    return Late(gap, pasts)


async def save_states(
    session: AsyncSession,
    account: AccountId,
    site: SiteId,
    states: Mapping[tuple[str, str], dict[str, Any] | None],
    *,
    now: datetime,
) -> None:
    """Write changed states, by machine and rule; None removes one."""
    keys = list(states)
    for start in range(0, len(keys), _AT_ONCE):
        await session.execute(
            delete(RuleState).where(
                RuleState.account_id == account,
                RuleState.site_id == site,
                tuple_(RuleState.machine, RuleState.rule).in_(keys[start : start + _AT_ONCE]),
            )
        )
    rows = [
        {
            "account_id": account,
            "site_id": site,
            "machine": machine,
            "rule": rule,
            "state": state,
            "updated_at": now,
        }
        for (machine, rule), state in states.items()
        if state is not None
    ]
    if rows:
        await session.execute(insert(RuleState), rows)


async def active(session: AsyncSession, account: AccountId, site: SiteId) -> dict[tuple[str, str], Warning]:
    """The site's warnings that are not over, by machine and rule."""
    rows = await session.scalars(
        select(Warning).where(Warning.account_id == account, Warning.site_id == site, Warning.resolved_at.is_(None))
    )
    return {(row.machine, row.rule): row for row in rows}


async def save_events(
    session: AsyncSession, account: AccountId, site: SiteId, events: Iterable[Event]
) -> Sequence[Warning]:
    """Write the warnings that events begin, change and end, in their order; the ones concerned."""
    warnings = await active(session, account, site)
    touched: dict[str, Warning] = {}
    for event in events:
        key = (event.machine, event.rule)
        warning = warnings.get(key)
        if event.change is Change.RESOLVED:
            if warning is not None:
                warning.resolved_at, warning.resolution = event.at, event.resolution
                touched[warning.id] = warnings.pop(key)
                await session.flush()  # before the next one of this key begins: one active at a time
            continue
        if warning is None:
            warning = warnings[key] = _begun(account, site, event)
            session.add(warning)
        assert event.severity is not None  # only what resolves has none
        if event.change is not Change.FIRED and warning.severity is not None:
            session.add(
                WarningChange(
                    id=ids.new("chg"),
                    warning_id=warning.id,
                    account_id=account,
                    at=event.at,
                    before=warning.severity,
                    after=event.severity.value,
                    value=event.value,
                    threshold=event.limit,
                )
            )
        warning.severity = event.severity.value
        warning.value, warning.threshold = event.value, event.limit
        touched[warning.id] = warning
    await session.flush()
    return list(touched.values())


async def save_episodes(session: AsyncSession, account: AccountId, site: SiteId, episodes: Sequence[Episode]) -> None:
    """Write what came and went before it was known, unless a warning of that time is there."""
    for episode in episodes:
        fired = episode.fired
        overlapping = select(Warning.id).where(
            Warning.account_id == account,
            Warning.site_id == site,
            Warning.machine == fired.machine,
            Warning.rule == fired.rule,
            Warning.started_at <= episode.ended_at,
            or_(Warning.resolved_at.is_(None), Warning.resolved_at >= fired.at),
        )
        if await session.scalar(overlapping.limit(1)) is None:
            warning = _begun(account, site, fired)
            warning.severity = (fired.severity or Severity.WARNING).value
            warning.value, warning.threshold = fired.value, fired.limit
            warning.resolved_at, warning.resolution = episode.ended_at, "recovered"
            session.add(warning)
            await session.flush()


def _begun(account: AccountId, site: SiteId, event: Event) -> Warning:
    return Warning(
        id=ids.new("wrn"),
        account_id=account,
        site_id=site,
        machine=event.machine,
        rule=event.rule,
        model=event.model,
        since=event.since or event.at,
        started_at=event.at,
    )
