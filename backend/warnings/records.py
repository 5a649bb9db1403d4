"""The rules' rows in the registry: reading a site's memory, writing what a judgement changed.

All of it inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.registry.machine_tables import PausedMachine
from backend.registry.rule_tables import RuleOverride, RuleState, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.upserting import upsert
from backend.registry.warning_tables import Warning, WarningChange
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

_STATE: Final[Any] = RuleState.__table__
_GONE: Final = delete(_STATE).where(
    _STATE.c.account_id == bindparam("of_account"),
    _STATE.c.site_id == bindparam("of_site"),
    _STATE.c.machine == bindparam("of_machine"),
    _STATE.c.rule == bindparam("of_rule"),
)


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
    gone = [
        {"of_account": account, "of_site": site, "of_machine": machine, "of_rule": rule}
        for (machine, rule), state in states.items()
        if state is None
    ]
    if gone:
        await (await session.connection()).execute(_GONE, gone)
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
        await upsert(session, RuleState, rows)


async def active(
    session: AsyncSession, account: AccountId, site: SiteId, machines: Iterable[str] | None = None
) -> dict[tuple[str, str], Warning]:
    """The site's warnings that are not over, of these machines or all, by machine and rule."""
    query = select(Warning).where(Warning.account_id == account, Warning.site_id == site, Warning.resolved_at.is_(None))
    if machines is None:
        rows = (await session.scalars(query)).all()
    else:
        names, rows = sorted(set(machines)), []
        for start in range(0, len(names), _AT_ONCE):
            some = query.where(Warning.machine.in_(names[start : start + _AT_ONCE]))
            rows += (await session.scalars(some)).all()
    return {(row.machine, row.rule): row for row in rows}


async def save_events(
    session: AsyncSession, account: AccountId, site: SiteId, events: Sequence[Event], *, now: datetime
) -> Sequence[str]:
    """Write the warnings that events begin, change and end, in their order; the ids of those that are over.

    What begins is written in bulk: an outage begins a hundred thousand at once.
    """
    standing = await active(session, account, site, {event.machine for event in events})
    begun: dict[tuple[str, str], dict[str, Any]] = {}
    new: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    over: list[str] = []
    for event in events:
        key = (event.machine, event.rule)
        row, warning = begun.get(key), standing.get(key)
        if event.change is Change.RESOLVED:
            end = {"resolved_at": event.at, "resolution": event.resolution}
            if row is not None:
                begun.pop(key).update(end)
                over.append(row["id"])
            elif warning is not None:
                standing.pop(key)
                warning.resolved_at, warning.resolution = event.at, event.resolution
                over.append(warning.id)
            continue
        assert event.severity is not None  # only what resolves has none
        now_so = {"severity": event.severity.value, "value": event.value, "threshold": event.limit}
        if row is None and warning is None:
            begun[key] = _begun(account, site, event, now) | now_so
            new.append(begun[key])
            continue
        of, before = (row["id"], row["severity"]) if row is not None else (warning.id, warning.severity)  # type: ignore[union-attr]
        if before != event.severity.value:
            changes.append(_changed(account, of, before, event))
        if row is not None:
            row.update(now_so)
        elif warning is not None:
            warning.severity, warning.value, warning.threshold = event.severity.value, event.value, event.limit
    await session.flush()  # what is over, before the next one of its key begins: one active at a time
    if new:
        await session.execute(insert(Warning), new)
    if changes:
        await session.execute(insert(WarningChange), changes)
    return over


def _changed(account: AccountId, warning: str, before: str, event: Event) -> dict[str, Any]:
    return {
        "id": ids.new("chg"),
        "warning_id": warning,
        "account_id": account,
        "at": event.at,
        "before": before,
        "after": event.severity.value if event.severity else before,
        "value": event.value,
        "threshold": event.limit,
    }


async def save_episodes(
    session: AsyncSession, account: AccountId, site: SiteId, episodes: Sequence[Episode], *, now: datetime
) -> None:
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
            warning = _begun(account, site, fired, now) | {
                "severity": (fired.severity or Severity.WARNING).value,
                "value": fired.value,
                "threshold": fired.limit,
                "resolved_at": episode.ended_at,
                "resolution": "recovered",
            }
            await session.execute(insert(Warning), [warning])


def _begun(account: AccountId, site: SiteId, event: Event, now: datetime) -> dict[str, Any]:
    return {
        "id": ids.new("wrn"),
        "account_id": account,
        "site_id": site,
        "machine": event.machine,
        "rule": event.rule,
        "model": event.model,
        "since": event.since or event.at,
        "started_at": event.at,
        "decided_at": now,
        "resolved_at": None,
        "resolution": None,
    }
