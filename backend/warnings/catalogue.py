"""The rules as data: reading `catalogue.toml`, and what a rule means for one model.

`Catalogue.load()` refuses a rule that cannot work (an unknown field, limits out of order), so that no such thing
shows only when it should have fired.
"""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as own_field
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.wire import describe
from backend.warnings.fields import FIELDS, SITE_FIELDS
from backend.warnings.severity import Severity

Scope = Literal["machine", "site"]
Compare = Literal[">", ">=", "<", "<="]
Otherwise = Literal["clear", "missing"]

_FILE: Final = Path(__file__).with_name("catalogue.toml")
_OPERATORS: Final[Mapping[Compare, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_OPPOSITES: Final[Mapping[Compare, Compare]] = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


class BadRule(ValueError):
    """A rule, or a change to one, that cannot work; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One severity of a rule."""

    severity: Severity
    at: float
    duration: timedelta  # how long the value has to be beyond `at`


@dataclass(frozen=True, slots=True)
class Need:
    """A condition on another field of the same reading."""

    field: str
    value: bool
    otherwise: Otherwise


@dataclass(frozen=True, slots=True)
class Arming:
    """Evidence that a rule makes sense for a machine: the field was above the value once."""

    field: str
    above: float


@dataclass(frozen=True, slots=True)
class ForModels:
    """Other limits for models that match one of the patterns."""

    match: tuple[str, ...]
    at: Mapping[Severity, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, as `catalogue.toml` explains it. `limits` has the mildest severity first."""

    name: str
    scope: Scope
    field: str
    compare: Compare
    limits: tuple[Limit, ...]
    clear_margin: float = 0.0
    clear_at: float | None = None  # instead of a margin: wherever the limit is
    clear_compare: Compare
    clear_for: timedelta
    needs: tuple[Need, ...] = ()
    armed_by: Arming | None = None
    holds_back: tuple[str, ...] = ()
    models: tuple[ForModels, ...] = ()
    unit: str | None = None
    title: str
    plural: str
    says: str
    first: str
    is_on: bool = True
    # Asked twenty times a poll: looked up once.
    _is_beyond: Callable[[float, float], bool] = own_field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_is_beyond", _OPERATORS[self.compare])
        at = [limit.at for limit in self.limits]
        if at != sorted(at, reverse=not self._rises):
            raise BadRule(f"{self.name}: the limit of a worse severity has to be harder to reach")
        if self.clear_margin < 0:
            raise BadRule(f"{self.name}: clear_margin is a distance and not negative")
        if self.clear_at is not None and self.clear_margin:
            raise BadRule(f"{self.name} clears at {self.clear_at:g}, wherever its limit is: it has no clear_margin")

    @property
    def _rises(self) -> bool:
        return self.compare in (">", ">=")

    def is_bad(self, value: float, limit: Limit) -> bool:
        """Whether the value is beyond this limit."""
        return self._is_beyond(value, limit.at)

    def is_clear(self, value: float, limit: Limit) -> bool:
        """Whether the value has come back far enough from this limit."""
        if self.clear_at is not None:
            return _OPERATORS[self.clear_compare](value, self.clear_at)
        back_at = limit.at - self.clear_margin if self._rises else limit.at + self.clear_margin
        return _OPERATORS[self.clear_compare](value, back_at)

    def for_model(self, make: str | None, model: str | None) -> Rule:
        """This rule with the limits of a model."""
        for variant in self.models:
            if any(is_model(pattern, make, model) for pattern in variant.match):
                return self.changed(variant.at)
        return self

    def changed(self, at: Mapping[Severity, float]) -> Rule:
        """This rule with other limits. Limits that are not named give way where they would be out of order.

        Raises `BadRule` for a severity that the rule does not have, and for limits that are out of order themselves.
        """
        if unknown := at.keys() - {limit.severity for limit in self.limits}:
            raise BadRule(f"{self.name} has no limit for {', '.join(sorted(unknown))}")
        return replace(self, limits=tuple(replace(limit, at=self._moved(limit, at)) for limit in self.limits))

    def _moved(self, limit: Limit, at: Mapping[Severity, float]) -> float:
        if limit.severity in at:
            return at[limit.severity]
        milder = [value for severity, value in at.items() if severity.rank < limit.severity.rank]
        worse = [value for severity, value in at.items() if severity.rank > limit.severity.rank]
        harder, easier = (max, min) if self._rises else (min, max)
        return easier([harder([limit.at, *milder]), *worse])


def is_model(pattern: str, make: str | None, model: str | None) -> bool:
    """Whether a pattern (`*` and `?`, any case) names this model, with its make or without."""
    names = (f"{make or ''} {model or ''}", model or "")
    return any(fnmatchcase(name.strip().lower(), pattern.lower()) for name in names)


class Catalogue:
    """All rules, by name, in the order of the file."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = dict(rules)
        for rule in rules.values():
            if strangers := set(rule.holds_back) - rules.keys():
                raise BadRule(f"{rule.name} holds back {', '.join(sorted(strangers))}, which is no rule")

    @classmethod
    def load(cls, path: Path = _FILE) -> Self:
        """Read a catalogue. Raises `BadRule`."""
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls({name: _rule(name, table) for name, table in tables.items()})

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def __contains__(self, name: object) -> bool:
        return name in self._rules

    def __getitem__(self, name: str) -> Rule:
        return self._rules[name]

    def get(self, name: str) -> Rule | None:
        """The rule of this name, if there is one: what fired before an update may be gone after it."""
        return self._rules.get(name)

    def holders_of(self, name: str) -> frozenset[str]:
        """The rules that hold this one back while they fire."""
        return frozenset(rule.name for rule in self if name in rule.holds_back)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Limit(_Strict):
    at: float
    for_s: Annotated[float, Field(ge=0)]


class _Need(_Strict):
    field: str
    value: Annotated[bool, Field(alias="is")]
    otherwise: Annotated[Otherwise, Field(alias="else")]


class _Arming(_Strict):
    field: str
    above: float


class _ForModels(_Strict):
    match: Annotated[tuple[str, ...], Field(min_length=1)]
    info: float | None = None
    warning: float | None = None
    critical: float | None = None


class _Entry(_Strict):
    """A table of the file."""

    scope: Scope
    field: str
    compare: Compare
    info: _Limit | None = None
    warning: _Limit | None = None
    critical: _Limit | None = None
    clear_margin: float = 0.0
    clear_at: float | None = None
    clear_compare: Compare | None = None
    clear_for_s: Annotated[float, Field(ge=0)]
    needs: tuple[_Need, ...] = ()
    armed_by: _Arming | None = None
    holds_back: tuple[str, ...] = ()
    models: tuple[_ForModels, ...] = ()
    unit: str | None = None
    title: str
    plural: str
    says: str
    first: str


def _rule(name: str, table: object) -> Rule:
    try:
        entry = _Entry.model_validate(table)
    except ValidationError as error:
        raise BadRule(f"{name}: {describe(error)}") from error
    limits = {severity: limit for severity in Severity if (limit := getattr(entry, severity)) is not None}
    if not limits:
        raise BadRule(f"{name} has no limit: give info, warning or critical")
    arming = entry.armed_by
    rule = Rule(
        name=name,
        scope=entry.scope,
        field=entry.field,
        compare=entry.compare,
        limits=tuple(Limit(severity, limit.at, timedelta(seconds=limit.for_s)) for severity, limit in limits.items()),
        clear_margin=entry.clear_margin,
        clear_at=entry.clear_at,
        clear_compare=entry.clear_compare or _OPPOSITES[entry.compare],
        clear_for=timedelta(seconds=entry.clear_for_s),
        needs=tuple(Need(need.field, need.value, need.otherwise) for need in entry.needs),
        armed_by=Arming(arming.field, arming.above) if arming else None,
        holds_back=entry.holds_back,
        models=tuple(_for_models(variant) for variant in entry.models),
        unit=entry.unit,
        title=entry.title,
        plural=entry.plural,
        says=entry.says,
        first=entry.first,
    )
    _check(rule)
    return rule


def _for_models(variant: _ForModels) -> ForModels:
    given = {severity: at for severity in Severity if (at := getattr(variant, severity)) is not None}
    return ForModels(variant.match, given)


def _check(rule: Rule) -> None:
    known = FIELDS.keys() if rule.scope == "machine" else SITE_FIELDS
    fields = {rule.field, *(need.field for need in rule.needs), *([rule.armed_by.field] if rule.armed_by else [])}
    if strangers := fields - known:
        raise BadRule(f"{rule.name}: a {rule.scope} has no field {', '.join(sorted(strangers))}")
    if rule.scope == "site" and (len(rule.limits) > 1 or rule.needs or rule.armed_by or rule.models):
        raise BadRule(f"{rule.name}: a site's rule has one limit, and no needs, armed_by or models")
    for variant in rule.models:
        rule.changed(variant.at)  # raises for limits that cannot be
    try:
        rule.says.format(value="", limit="")
    except (KeyError, IndexError, ValueError) as error:
        raise BadRule(f"{rule.name}: says may use {{value}} and {{limit}} only") from error
