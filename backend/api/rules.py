"""`GET` and `PUT /v1/rules`: the numbers of the rules, in force where, and who changed them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import select

from backend.api.registering import Body, body
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.registry import sites
from backend.registry.errors import Invalid
from backend.registry.rule_tables import RuleChange
from backend.warnings.catalogue import BadRule, Rule
from backend.warnings.overrides import ORDER, Override, Rulebook
from backend.warnings.records import overrides_of

RuleName = Annotated[str, StringConstraints(min_length=1, max_length=32)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ModelPattern = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Machine = Annotated[str, StringConstraints(pattern=r"^mnr-[0-9a-hjkmnp-tv-z]{16}$")]

_NOWHERE: Final = SiteId("")  # the rules as no site changes them


class RulesQuery(Query):
    """Where: nothing is the account's own numbers; a machine's are those of its site, model and pseudonym."""

    site: Id | None = None  # id or name
    model: ModelPattern | None = None  # with its make or without
    machine: Machine | None = None


class LimitShown(BaseModel):
    """One severity."""

    severity: str
    at: float
    for_s: float


class RuleShown(BaseModel):
    """A rule, with the numbers that are in force where it was asked for."""

    rule: str
    scope: str
    title: str
    field: str
    compare: str
    unit: str | None
    enabled: bool
    limits: list[LimitShown]
    clear_compare: str
    clear_margin: float
    clear_at: float | None
    clear_for_s: float
    changed_by: list[str]  # of `order`: what made these numbers, the strongest last
    holds_back: list[str]


class Where(BaseModel):
    """Absent: everywhere."""

    site: str | None
    model: str | None
    machine: str | None


class OverrideShown(Where):
    """What the account changed of a rule."""

    rule: str
    numbers: dict[str, float]


class RulesReply(BaseModel):
    """`order`: the sources of numbers; each goes before those that stand left of it."""

    order: list[str]
    rules: list[RuleShown]
    changes: list[OverrideShown]


class RuleRequest(Body):
    """Other numbers for a rule, everywhere in the account or where it says; `numbers` {}: those of weaker sources.

    Names of numbers: `info`, `warning`, `critical`, `for_s`, `info_for_s`, `warning_for_s`, `critical_for_s`,
    `clear_margin`, `clear_for_s`, and `enabled` (0: the rule is off).
    """

    rule: RuleName
    site: Id | None = None
    model: ModelPattern | None = None
    machine: Machine | None = None
    numbers: Annotated[dict[str, float], Field(max_length=20)]


class HistoryQuery(Query):
    """How many at most."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class ChangeShown(Where):
    """Who changed what, when; `before` and `after` are the numbers given there."""

    at: datetime
    by: str
    rule: str
    before: dict[str, float]
    after: dict[str, float]


class HistoryReply(BaseModel):
    """Newest first."""

    changes: list[ChangeShown]


async def listed(call: Call[RulesQuery]) -> RulesReply:
    """All rules."""
    query = call.query
    async with call.services.database.read() as session:
        site = _NOWHERE
        if query.site is not None:
            site = SiteId((await sites.find(session, call.account, query.site)).id)
        overrides = await overrides_of(session, call.account)
    actions = call.services.actions
    book = Rulebook(actions.catalogue, actions.settings, overrides, site)
    return RulesReply(
        order=list(ORDER),
        rules=[_shown(book, rule, query) for rule in actions.catalogue],
        changes=[_override(each) for each in overrides],
    )


async def change(call: Call[Query]) -> RuleShown:
    """Change a rule's numbers; they are in force from the next reading on."""
    sent = await body(call, RuleRequest)
    async with call.services.database.read() as session:
        site = None
        if sent.site is not None:
            site = SiteId((await sites.find(session, call.account, sent.site)).id)
    actions = call.services.actions
    try:
        await actions.change_rule(
            call.account,
            sent.rule,
            sent.numbers,
            site=site,
            model=sent.model,
            machine=sent.machine,
            by=call.bearer_known.member or call.bearer_known.token or "unknown",
            now=call.now,
        )
    except BadRule as error:
        raise Invalid(str(error)) from error
    async with call.services.database.read() as session:
        overrides = await overrides_of(session, call.account)
    book = Rulebook(actions.catalogue, actions.settings, overrides, site or _NOWHERE)
    where = RulesQuery(site=sent.site, model=sent.model, machine=sent.machine)
    return _shown(book, actions.catalogue[sent.rule], where)


async def history(call: Call[HistoryQuery]) -> HistoryReply:
    """What was changed."""
    async with call.services.database.read() as session:
        query = select(RuleChange).where(RuleChange.account_id == call.account)
        rows = await session.scalars(query.order_by(RuleChange.at.desc(), RuleChange.id).limit(call.query.limit))
        return HistoryReply(
            changes=[
                ChangeShown(
                    at=row.at,
                    by=row.changed_by,
                    rule=row.rule,
                    site=row.site_id or None,
                    model=row.model or None,
                    machine=row.machine or None,
                    before=row.before,
                    after=row.after,
                )
                for row in rows
            ]
        )


def limits_of(rule: Rule) -> list[LimitShown]:
    """Its severities, the mildest first."""
    return [
        LimitShown(severity=limit.severity, at=limit.at, for_s=limit.duration.total_seconds()) for limit in rule.limits
    ]


def _shown(book: Rulebook, rule: Rule, where: RulesQuery) -> RuleShown:
    there, sources = book.explained(rule, where.machine, None, where.model)
    return RuleShown(
        rule=there.name,
        scope=there.scope,
        title=there.title,
        field=there.field,
        compare=there.compare,
        unit=there.unit,
        enabled=there.is_on,
        limits=limits_of(there),
        clear_compare=there.clear_compare,
        clear_margin=there.clear_margin,
        clear_at=there.clear_at,
        clear_for_s=there.clear_for.total_seconds(),
        changed_by=sources,
        holds_back=list(there.holds_back),
    )


def _override(each: Override) -> OverrideShown:
    return OverrideShown(
        rule=each.rule, site=each.site, model=each.model, machine=each.machine, numbers=dict(each.numbers)
    )
