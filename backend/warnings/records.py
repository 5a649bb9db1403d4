"""The rules' rows in the registry: reading a site's memory, writing what a judgement changed.

All of it inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Text, bindparam, cast, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.registry.listing import listed
from backend.registry.machine_tables import PausedMachine
from backend.registry.rule_tables import RuleOverride, RuleState, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.upserting import MANY, upsert, upsert_alike
from backend.warnings.catalogue import Catalogue
from backend.warnings.known import Known
from backend.warnings.ledger import Ledger
from backend.warnings.machines import declarations_of, known_of
from backend.warnings.overrides import Numbers, Override, Rulebook
from backend.warnings.past import GAP, PREFIX, Late, Past, gap_from_json, past_state
from backend.warnings.step import State, from_json

# Of tables, not of classes: the session looks for none of these rows among its objects.
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
    rows = await (await session.connection()).execute(
        select(_STATE.c.machine, _STATE.c.rule, cast(_STATE.c.state, Text)).where(
            _STATE.c.account_id == account, _STATE.c.site_id == site, _STATE.c.machine != ""
        )
    )
    stored: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for machine, rule, state in rows.all():
        stored[machine][rule] = state
    # A reading of the very time that was judged last may still come: another machine's, in the next batch.
    at = watch.judged_to - timedelta(microseconds=1) if watch.judged_to else None
    return Ledger(
        Rulebook(catalogue, settings, overrides, site),
        version=watch.version,
        judged_to=watch.judged_to,
        interval=timedelta(seconds=watch.interval_s) if watch.interval_s else None,
        states=_shared(stored, catalogue, at),
        paused=frozenset(paused),
        known=_newer(await known_of(session, account, site), before.known if before is not None else {}),
        declarations=await declarations_of(session, account, site),
        late=await _late(session, site, catalogue, stored),
    )


def _shared(
    stored: Mapping[str, Mapping[str, str]], catalogue: Catalogue, at: datetime | None
) -> dict[str, Mapping[str, State]]:
    """Machine → its states by rule, read once for all machines that stand alike."""
    found: dict[frozenset[tuple[str, str]], Mapping[str, State]] = {}
    states = {}
    for machine, texts in stored.items():
        key = frozenset(texts.items())
        if key not in found:
            known = {rule: text for rule, text in texts.items() if rule in catalogue}
            found[key] = {rule: from_json(catalogue[rule], json.loads(text), at=at) for rule, text in known.items()}
        states[machine] = found[key]
    return states


def _newer(stored: Mapping[str, Known], ours: Mapping[str, Known]) -> dict[str, Known]:
    """What the registry has of machines, or what we remember of them when that is newer."""
    return {name: mine if (mine := ours.get(name)) and mine.at >= each.at else each for name, each in stored.items()}


async def _late(
    session: AsyncSession, site: SiteId, catalogue: Catalogue, stored: Mapping[str, Mapping[str, str]]
) -> Late | None:
    """What came late so far, if anything does."""
    row = await session.scalar(
        select(RuleState.state).where(RuleState.site_id == site, RuleState.machine == "", RuleState.rule == GAP)
    )
    if row is None:
        return None
    gap = gap_from_json(row)
    pasts: dict[str, Past] = {}
    for machine, texts in stored.items():
        past = Past(gap.at, {}, {})
        for name, text in texts.items():
            rule = catalogue.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
            if rule is None:
                continue
            state, fired = past_state(rule, json.loads(text), machine, gap.at)
            past = Past(
                gap.at,
                {**past.states, rule.name: state} if state != State() else past.states,
                {**past.fired, rule.name: fired} if fired else past.fired,
            )
            pasts[machine] = past
    return Late(gap, pasts)


async def save_states(
    session: AsyncSession,
    account: AccountId,
    site: SiteId,
    states: Mapping[tuple[str, str], dict[str, Any] | None],
    *,
    now: datetime,
) -> None:
    """Write changed states, by machine and rule; None removes one. Machines that share a state are written together."""
    alike: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for (machine, rule), state in states.items():
        alike[rule, id(state)].append(machine)
    connection = await session.connection()
    rows: list[dict[str, Any]] = []
    gone: list[dict[str, str]] = []
    for (rule, _), machines in alike.items():
        state = states[machines[0], rule]
        if state is None and len(machines) >= MANY:
            of_rule = (_STATE.c.account_id == account, _STATE.c.site_id == site, _STATE.c.rule == rule)
            await connection.execute(delete(_STATE).where(*of_rule, _STATE.c.machine.in_(listed(session, machines))))
        elif state is None:
            of = {"of_account": account, "of_site": site, "of_rule": rule}
            gone += [of | {"of_machine": machine} for machine in machines]
        else:
            common = {"account_id": account, "site_id": site, "rule": rule, "state": state, "updated_at": now}
            if len(machines) >= MANY:
                await upsert_alike(session, RuleState, common, {"machine": machines})
            else:
                rows += [common | {"machine": machine} for machine in machines]
    if gone:
        await connection.execute(_GONE, gone)
    if rows:
        await upsert(session, RuleState, rows)
