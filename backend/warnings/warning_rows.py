"""The table of warnings: what events begin, change and end in it.

All of it inside the caller's transaction. An outage begins and ends a hundred thousand at once: rows that differ in
nothing but machine and id go by one statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId, SiteId
from backend.registry.listing import listed
from backend.registry.upserting import MANY, upsert_alike
from backend.registry.warning_tables import Warning, WarningChange
from backend.warnings.event import Event
from backend.warnings.past import Episode
from backend.warnings.severity import Severity
from backend.warnings.step import Change

_TABLE: Any = Warning.__table__  # of the table, not of the class: the session looks for none of these rows


class Standing(NamedTuple):
    """A warning that is not over."""

    id: str
    severity: str


@dataclass(slots=True)
class _New:
    """A warning that is to be written, with what became of it since."""

    id: str
    fired: Event
    now_so: Event  # has its severity, value and limit
    ended: Event | None = None


async def active(
    session: AsyncSession, account: AccountId, site: SiteId, machines: Iterable[str] | None = None
) -> dict[tuple[str, str], Standing]:
    """The site's warnings that are not over, of these machines or all, by machine and rule."""
    query = select(_TABLE.c.machine, _TABLE.c.rule, _TABLE.c.id, _TABLE.c.severity).where(
        _TABLE.c.account_id == account, _TABLE.c.site_id == site, _TABLE.c.resolved_at.is_(None)
    )
    if machines is not None:
        query = query.where(_TABLE.c.machine.in_(listed(session, sorted(set(machines)))))
    rows = await session.execute(query)
    return {(machine, rule): Standing(warning, severity) for machine, rule, warning, severity in rows.all()}


async def save_events(
    session: AsyncSession, account: AccountId, site: SiteId, events: Sequence[Event], *, now: datetime
) -> Sequence[str]:
    """Write the warnings that events begin, change and end, in their order; the ids of those that are over."""
    standing = await active(session, account, site, {event.machine for event in events})
    begun: dict[tuple[str, str], _New] = {}  # of these, those that are not over
    new: list[_New] = []
    eased: dict[str, Event] = {}  # or worse than before
    ended: defaultdict[tuple[datetime, str | None], list[str]] = defaultdict(list)
    changes: list[dict[str, Any]] = []
    over: list[str] = []
    names = iter(ids.many("wrn", len(events)))
    for event in events:
        key = (event.machine, event.rule)
        ours, before = begun.get(key), standing.get(key)
        if event.change is Change.RESOLVED:
            if ours is not None:
                begun.pop(key).ended = event
                over.append(ours.id)
            elif before is not None:
                ended[event.at, event.resolution].append(standing.pop(key).id)
                over.append(before.id)
            continue
        assert event.severity is not None  # only what resolves has none
        if ours is not None:
            changes += _changed(account, ours.id, ours.now_so.severity, event)
            ours.now_so = event
        elif before is not None:
            changes += _changed(account, before.id, Severity(before.severity), event)
            standing[key] = before._replace(severity=event.severity.value)
            eased[before.id] = event
        else:
            begun[key] = _New(next(names), event, event)
            new.append(begun[key])
    await _change(session, eased)
    await _end(session, ended)  # before the next one of the same key begins: one active at a time
    await _insert(session, account, site, new, now=now)
    if changes:
        await session.execute(insert(WarningChange), changes)
    return over


async def save_episodes(
    session: AsyncSession, account: AccountId, site: SiteId, episodes: Sequence[Episode], *, now: datetime
) -> None:
    """Write what came and went before it was known, unless a warning of that time is there."""
    new = []
    for episode in episodes:
        fired = episode.fired
        overlapping = select(_TABLE.c.id).where(
            _TABLE.c.account_id == account,
            _TABLE.c.site_id == site,
            _TABLE.c.machine == fired.machine,
            _TABLE.c.rule == fired.rule,
            _TABLE.c.started_at <= episode.ended_at,
            or_(_TABLE.c.resolved_at.is_(None), _TABLE.c.resolved_at >= fired.at),
        )
        if await session.scalar(overlapping.limit(1)) is None:
            ended = fired._replace(change=Change.RESOLVED, at=episode.ended_at, resolution="recovered")
            new.append(_New(ids.new("wrn"), fired, fired, ended))
    await _insert(session, account, site, new, now=now)


async def _insert(
    session: AsyncSession, account: AccountId, site: SiteId, new: Sequence[_New], *, now: datetime
) -> None:
    alike: defaultdict[tuple[Any, ...], list[_New]] = defaultdict(list)
    for each in new:
        fired, now_so, ended = each.fired, each.now_so, each.ended
        alike[
            fired.rule,
            fired.model,
            fired.since or fired.at,
            fired.at,
            now_so.severity,
            now_so.value,
            now_so.limit,
            ended.at if ended else None,
            ended.resolution if ended else None,
        ].append(each)
    names = ("rule", "model", "since", "started_at", "severity", "value", "threshold", "resolved_at", "resolution")
    rows: list[dict[str, Any]] = []
    for values, some in alike.items():
        common = dict(zip(names, values, strict=True)) | {"account_id": account, "site_id": site, "decided_at": now}
        if len(some) < MANY:
            rows += [common | {"id": each.id, "machine": each.fired.machine} for each in some]
        else:
            machines = [each.fired.machine for each in some]
            await upsert_alike(session, Warning, common, {"id": [each.id for each in some], "machine": machines})
    if rows:
        await session.execute(insert(_TABLE), rows)


async def _change(session: AsyncSession, changed: dict[str, Event]) -> None:
    statement = (
        update(_TABLE)
        .where(_TABLE.c.id == bindparam("of"))
        .values(severity=bindparam("is_severity"), value=bindparam("is_value"), threshold=bindparam("is_limit"))
    )
    rows = [
        {"of": warning, "is_severity": event.severity, "is_value": event.value, "is_limit": event.limit}
        for warning, event in changed.items()
    ]
    if rows:
        await session.execute(statement, rows)


async def _end(session: AsyncSession, ended: dict[tuple[datetime, str | None], list[str]]) -> None:
    for (at, resolution), warnings in ended.items():
        await session.execute(
            update(_TABLE)
            .where(_TABLE.c.id.in_(listed(session, warnings)))
            .values(resolved_at=at, resolution=resolution)
        )


def _changed(account: AccountId, warning: str, before: Severity | None, event: Event) -> list[dict[str, Any]]:
    if before is event.severity or before is None or event.severity is None:
        return []
    return [
        {
            "id": ids.new("chg"),
            "warning_id": warning,
            "account_id": account,
            "at": event.at,
            "before": before.value,
            "after": event.severity.value,
            "value": event.value,
            "threshold": event.limit,
        }
    ]
