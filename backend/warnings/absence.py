"""Rules of a site itself: `agent_silent`, about what does not come, by our own clock; the others with each batch.

A site is silent from its last batch on, but never for longer than we have been listening: after an outage of our own
nobody was silent, we were deaf. A site that never sent anything raises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import Batch
from backend.ids import AccountId, SiteId
from backend.registry.rule_tables import Listening, RuleOverride, RuleState, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.upserting import insert_missing
from backend.warnings.catalogue import Catalogue, Rule
from backend.warnings.event import Event, event_of
from backend.warnings.judgement import Judgement
from backend.warnings.overrides import Numbers, Rulebook, changed
from backend.warnings.step import Change, Seen, State, from_json, step, to_json

DEAF_AFTER: Final = timedelta(minutes=2)
"""Without a tick of any backend for so long we did not listen: stopped, suspended, or stuck. A restart is shorter."""

SILENCE: Final = "silent_s"
"""The field that needs no batch."""

_WRITE_EVERY: Final = timedelta(seconds=30)


async def known_listening(session: AsyncSession, *, now: datetime) -> datetime | None:
    """Since when we listen, if that was written down a moment ago; else `renew_listening` has to say."""
    row = await session.get(Listening, 1)
    return row.since if row is not None and now - row.until < _WRITE_EVERY else None


async def renew_listening(session: AsyncSession, *, now: datetime) -> datetime:
    """We listen now; since when that is so without a break. Remembered in the registry: a restart is no excuse."""
    await insert_missing(session, Listening, {"id": 1, "since": now, "until": now})
    row = await session.get_one(Listening, 1, with_for_update=True)
    if now - row.until > DEAF_AFTER:
        row.since = now
    row.until = max(row.until, now)
    return row.since


async def quiet_sites(
    session: AsyncSession, catalogue: Catalogue, settings: Mapping[str, Numbers], *, now: datetime
) -> Sequence[tuple[AccountId, SiteId]]:
    """The sites that may have been silent for long enough, and are not known to be so."""
    found: set[tuple[AccountId, SiteId]] = set()
    for rule in catalogue:
        if rule.field != SILENCE:
            continue
        known = select(RuleState.site_id).where(
            RuleState.site_id == Site.id, RuleState.machine == "", RuleState.rule == rule.name
        )
        shortest = await _shortest(session, changed(rule, settings.get(rule.name, {})))
        if shortest is None:
            continue
        rows = await session.execute(
            select(Site.account_id, Site.id, Site.last_batch_at, SiteWatch.interval_s)
            .outerjoin(SiteWatch, SiteWatch.site_id == Site.id)
            .where(Site.paused_at.is_(None), Site.last_batch_at <= now - shortest, ~known.exists())
        )
        found |= {
            (AccountId(account), SiteId(site))
            for account, site, heard_at, interval_s in rows
            if heard_at is not None and now - heard_at >= patience(interval_s)
        }
    return sorted(found)


async def _shortest(session: AsyncSession, rule: Rule) -> timedelta | None:
    """How soon the rule may fire at any site, with what accounts changed of it; None where it is off everywhere."""
    changes = await session.scalars(select(RuleOverride.numbers).where(RuleOverride.rule == rule.name))
    variants = [rule, *(changed(rule, numbers) for numbers in changes)]
    return min((limit.duration for each in variants if each.is_on for limit in each.limits), default=None)


def patience(interval_s: float | None) -> timedelta:
    """A site that polls every ten minutes is not silent after five: two of its own intervals are the least."""
    return timedelta(seconds=2 * (interval_s or 0))


@dataclass(frozen=True, slots=True)
class SiteJudgement:
    """What is so of the rules of a site itself."""

    states: dict[tuple[str, str], dict[str, Any] | None]  # changed ones, as `save_states` takes them
    events: list[Event]


def judge_silence(rulebook: Rulebook, heard_at: datetime, known: Mapping[str, Any], *, now: datetime) -> SiteJudgement:
    """The site's rules at a moment without a batch. Nothing is written of a site that is not silent for long enough:
    the time of its last batch says it all."""
    result = SiteJudgement({}, [])
    silence_s = max(0.0, (now - heard_at).total_seconds())
    for rule in rulebook.of_site():
        if rule.name in known or rule.field != SILENCE:
            continue
        begun, first = step(rule, State(), Seen(silence_s), heard_at)
        state, second = step(rule, begun, Seen(silence_s), now)
        if transition := second or first:
            result.states["", rule.name] = to_json(rule, state)
            result.events.append(event_of(rule, transition))
    return result


def judge_batch(
    rulebook: Rulebook,
    known: Mapping[str, tuple[Any, datetime]],
    values: Mapping[str, float | None],
    covers: timedelta,
    *,
    now: datetime,
) -> SiteJudgement:
    """The site's rules when a batch came. `known`: rule → its state as stored, and when that was. `values`: what the
    batch says of the site's fields."""
    result = SiteJudgement({}, [])
    rules = {rule.name: rule for rule in rulebook.of_site()}
    for name in known.keys() - rules.keys():
        result.states["", name] = None
        result.events.append(Event("", name, Change.RESOLVED, now, resolution="switched_off"))
    for rule in rules.values():
        value = values.get(rule.field)
        if rule.name not in known and (value is None or not rule.is_bad(value, rule.limits[0])):
            continue
        stored, at = known.get(rule.name, (None, None))
        before = from_json(rule, stored, at=at) if stored else State()
        state, transition = step(rule, before, Seen(value, covers=covers), now)
        result.states["", rule.name] = to_json(rule, state)
        if transition:
            result.events.append(event_of(rule, transition))
    return result


def values_of(batch: Batch, judgement: Judgement, *, now: datetime) -> dict[str, float | None]:
    """What a batch says of its site, by field."""
    return {
        SILENCE: 0.0,
        "ill_percent": judgement.ill_percent,
        "undiscovered": judgement.undiscovered,
        "backlog_s": batch.backlog_s,
        "clock_error_s": abs((now - batch.sent_at).total_seconds()),
    }
