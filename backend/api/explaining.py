"""One warning: why it fired and who heard of it; somebody cares for it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from agent.wire import MachineId
from backend.api.registering import done
from backend.api.reviewing import ReviewShown, review_shown
from backend.api.route import Call
from backend.api.rules import LimitShown, limits_of
from backend.api.warnings import Warning as WarningShown
from backend.api.warnings import WarningQuery, shown
from backend.ids import SiteId
from backend.registry.warning_tables import Warning
from backend.store.protocol import SeriesQuery
from backend.warnings import explanation, reviews
from backend.warnings.catalogue import Rule
from backend.warnings.fields import SHOWN_BY
from backend.warnings.overrides import Rulebook

_BEFORE: Final = timedelta(minutes=10)
_LONGEST: Final = timedelta(hours=6)
_POINTS: Final = 120


class RuleThen(BaseModel):
    """The rule with the numbers that were in force for this machine when it fired."""

    rule: str
    title: str
    what: str  # what the rule looks at
    compare: str
    limits: list[LimitShown]
    clear_compare: str
    clear_margin: float
    clear_at: float | None
    clear_for_s: float
    numbers_from: list[str]
    do_first: str


class Metric(BaseModel):
    """Readings around the firing: [time, value], oldest first, each the mean of a step."""

    metric: str
    points: list[tuple[datetime, float]]


class MomentShown(BaseModel):
    """Something that happened."""

    at: datetime
    what: str  # began, fired, escalated, eased, acknowledged; recovered, paused, switched_off
    severity: str | None
    value: float | None
    threshold: float | None


class ToldShown(BaseModel):
    """A contact that was told, and whose it is."""

    contact: str
    member: str
    channel: str
    severity: str
    message: str
    sent_at: datetime | None
    over_message: str | None
    over_sent_at: datetime | None


class HeldShown(BaseModel):
    """A contact that was not."""

    contact: str
    member: str
    channel: str
    why: list[str]


class ExplainReply(BaseModel):
    """All that is known of why."""

    warning: WarningShown
    rule: RuleThen | None  # absent: there is no such rule any more
    readings: list[Metric]
    timeline: list[MomentShown]
    told: list[ToldShown]
    held: list[HeldShown]
    reviews: list[ReviewShown]


async def explain(call: Call[WarningQuery]) -> ExplainReply:
    """Why."""
    actions = call.services.actions
    async with call.services.database.read() as session:
        warning = await explanation.find(session, call.account, call.query.warning)
        overrides = await explanation.overrides_at(session, call.account, warning.decided_at or warning.started_at)
        timeline = await explanation.timeline(session, warning)
        told = await explanation.told(session, warning)
        held = await explanation.held(session, warning, actions.catalogue, told, now=call.now)
        asked = await reviews.of(session, warning.id)
    rule = actions.catalogue.get(warning.rule)
    book = Rulebook(actions.catalogue, actions.settings, overrides, SiteId(warning.site_id))
    return ExplainReply(
        warning=shown(warning),
        rule=_then(book, rule, warning) if rule is not None else None,
        readings=await _readings(call, warning, rule) if rule is not None else [],
        timeline=[
            MomentShown(at=each.at, what=each.what, severity=each.severity, value=each.value, threshold=each.threshold)
            for each in timeline
        ],
        told=[ToldShown(**asdict(each)) for each in told],
        held=[
            HeldShown(contact=each.contact, member=each.member, channel=each.channel, why=list(each.why))
            for each in held
        ],
        reviews=[review_shown(each) for each in asked],
    )


async def acknowledge(call: Call[WarningQuery]) -> web.Response:
    """Somebody cares."""
    await call.services.actions.acknowledge_one(call.account, call.query.warning, now=call.now)
    return done()


def _then(book: Rulebook, rule: Rule, warning: Warning) -> RuleThen:
    then, sources = book.explained(rule, warning.machine or None, None, warning.model)
    return RuleThen(
        rule=then.name,
        title=then.title,
        what=then.field,
        compare=then.compare,
        limits=limits_of(then),
        clear_compare=then.clear_compare,
        clear_margin=then.clear_margin,
        clear_at=then.clear_at,
        clear_for_s=then.clear_for.total_seconds(),
        numbers_from=sources,
        do_first=then.first,
    )


async def _readings(call: Call[WarningQuery], warning: Warning, rule: Rule) -> list[Metric]:
    """What the machine said from a little before it began until it fired; nothing of what is past its window."""
    if not warning.machine:
        return []
    end = warning.started_at + timedelta(minutes=1)
    start = max(warning.since - _BEFORE, end - _LONGEST)
    step = max(timedelta(minutes=1), timedelta(minutes=1) * ((end - start) // (_POINTS * timedelta(minutes=1))))
    found = []
    for metric in SHOWN_BY.get(rule.field, ()):
        query = SeriesQuery(
            metric=metric,
            start=start,
            end=end,
            step=step,
            site=SiteId(warning.site_id),
            machines=(MachineId(warning.machine),),
        )
        series = await call.services.store.series(call.account, query)
        found.append(Metric(metric=metric, points=[point for each in series for point in each.points]))
    return found
