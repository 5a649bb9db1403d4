"""Which numbers a rule has for one machine.

The order, from the weakest: the catalogue, its numbers for the model, the backend's settings (`[rules.<rule>]`), then
what the account changed: everywhere, at a site, for a model, for a machine. What a later one does not name stays as
the earlier ones have it.

The names that a change may use: `info`, `warning`, `critical` (the limits), `for_s` (of all severities), `info_for_s`,
`warning_for_s`, `critical_for_s`, `clear_margin`, `clear_for_s`, and `enabled` (0 switches the rule off).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, NamedTuple

import structlog

from backend.ids import SiteId
from backend.warnings.catalogue import BadRule, Catalogue, Rule
from backend.warnings.catalogue import is_model as names_model
from backend.warnings.fields import KNOWN_WITHOUT_AN_ANSWER
from backend.warnings.severity import Severity

ORDER: Final = ("catalogue", "catalogue, by model", "settings", "account", "site", "model", "machine")
"""Where numbers come from; each source goes before those left of it."""

Numbers = Mapping[str, float]
"""Name → number, as above."""

_log = structlog.get_logger()

_LIMITS: Final = {severity.value: severity for severity in Severity}
_DURATIONS: Final = {f"{severity.value}_for_s": severity for severity in Severity}
_OTHERS: Final = frozenset({"for_s", "clear_margin", "clear_for_s", "enabled"})
NAMES: Final = frozenset(_LIMITS) | frozenset(_DURATIONS) | _OTHERS
"""Of numbers that a change may give."""
_LONGEST_S: Final = 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What an account changed of a rule, and where; `None` is everywhere."""

    rule: str
    numbers: Numbers
    site: SiteId | None = None
    model: str | None = None  # a pattern as in the catalogue
    machine: str | None = None

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Later ones go before earlier ones."""
        return self.machine is not None, self.model is not None, self.site is not None

    @property
    def source(self) -> str:
        """Its name in `ORDER`, by the strongest thing that it names."""
        if self.machine is not None:
            return ORDER[6]
        return ORDER[5] if self.model is not None else ORDER[4] if self.site is not None else ORDER[3]


def changed(rule: Rule, numbers: Numbers) -> Rule:
    """The rule with these numbers. Raises `BadRule`, saying what cannot be."""
    if strangers := numbers.keys() - NAMES:
        raise BadRule(f"{rule.name}: there is no {', '.join(sorted(strangers))}; there are {', '.join(sorted(NAMES))}")
    for name, number in numbers.items():
        if not math.isfinite(number) or (name.endswith("for_s") and not 0 <= number <= _LONGEST_S):
            raise BadRule(f"{rule.name}: {name} cannot be {number}")
    rule = rule.changed({_LIMITS[name]: number for name, number in numbers.items() if name in _LIMITS})
    durations = {limit.severity: numbers["for_s"] for limit in rule.limits if "for_s" in numbers}
    durations |= {severity: numbers[name] for name, severity in _DURATIONS.items() if name in numbers}
    if unknown := durations.keys() - {limit.severity for limit in rule.limits}:
        raise BadRule(f"{rule.name} has no limit for {', '.join(sorted(unknown))}")
    return replace(
        rule,
        limits=tuple(
            replace(limit, duration=timedelta(seconds=durations[limit.severity]))
            if limit.severity in durations
            else limit
            for limit in rule.limits
        ),
        clear_margin=numbers.get("clear_margin", rule.clear_margin),
        clear_for=timedelta(seconds=numbers["clear_for_s"]) if "clear_for_s" in numbers else rule.clear_for,
        is_on=bool(numbers.get("enabled", rule.is_on)),
    )


def check(catalogue: Catalogue, settings: Mapping[str, Numbers]) -> None:
    """Raises `BadRule` for a rule that there is not, or numbers that it cannot have for some model."""
    for name, numbers in settings.items():
        if name not in catalogue:
            raise BadRule(f"there is no rule {name}; there are {', '.join(rule.name for rule in catalogue)}")
        rule = catalogue[name]
        for variant in (rule, *(rule.changed(each.at) for each in rule.models)):
            changed(variant, numbers)


class Applying(NamedTuple):
    """The rules that are on for a machine."""

    rules: tuple[Rule, ...]
    without_answer: tuple[Rule, ...]  # of those, the ones that can begin while the machine does not answer
    names: frozenset[str]


class Rulebook:
    """The rules of one site, with all changes. Asks nobody; make a new one when something changes."""

    def __init__(
        self, catalogue: Catalogue, settings: Mapping[str, Numbers], overrides: Iterable[Override], site: SiteId
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        here = (each for each in overrides if each.site in (None, site) and each.rule in catalogue)
        self._overrides = sorted(here, key=lambda each: each.rank)
        self._own = {each.machine for each in self._overrides if each.machine}
        self._cache: dict[tuple[str | None, str | None, str | None], Applying] = {}
        self._of_site: tuple[Rule, ...] | None = None

    def of_machine(self, machine: str, make: str | None, model: str | None) -> Applying:
        """The rules that are on for a machine; one and the same for all machines that have the same."""
        key = (machine if machine in self._own else None, make, model)
        if (found := self._cache.get(key)) is None:
            rules = self._resolved("machine", *key)
            without_answer = tuple(rule for rule in rules if rule.field in KNOWN_WITHOUT_AN_ANSWER)
            found = self._cache[key] = Applying(rules, without_answer, frozenset(rule.name for rule in rules))
        return found

    def rule(self, name: str) -> Rule:
        """The rule as the catalogue has it: its severities are those of all its variants."""
        return self._catalogue[name]

    def of_site(self) -> tuple[Rule, ...]:
        """The rules that are on for the site itself."""
        if self._of_site is None:
            self._of_site = self._resolved("site", None, None, None)
        return self._of_site

    def explained(self, rule: Rule, machine: str | None, make: str | None, model: str | None) -> tuple[Rule, list[str]]:
        """A rule as it is there, on or off, and which sources (of `ORDER`) made its numbers."""
        sources = [ORDER[0]]
        if rule.for_model(make, model) != rule:
            sources.append(ORDER[1])
        if self._settings.get(rule.name):
            sources.append(ORDER[2])
        sources += [each.source for each in self._applying(rule.name, machine, make, model)]
        return self._with_changes(rule, machine, make, model), list(dict.fromkeys(sources))

    def of_ill_machines(self) -> frozenset[str]:
        """The rules that make a machine ill, by which its site is judged: those that are held back then."""
        return frozenset(name for rule in self._catalogue if rule.field == "ill_percent" for name in rule.holds_back)

    def _resolved(self, scope: str, machine: str | None, make: str | None, model: str | None) -> tuple[Rule, ...]:
        rules = (self._with_changes(rule, machine, make, model) for rule in self._catalogue if rule.scope == scope)
        return tuple(rule for rule in rules if rule.is_on)

    def _with_changes(self, rule: Rule, machine: str | None, make: str | None, model: str | None) -> Rule:
        rule = changed(rule.for_model(make, model), self._settings.get(rule.name, {}))
        for override in self._applying(rule.name, machine, make, model):
            try:
                rule = changed(rule, override.numbers)
            except BadRule as error:  # good when it was stored; the catalogue is a newer one
                _log.warning("rule.override_ignored", rule=rule.name, reason=str(error))
        return rule

    def _applying(self, name: str, machine: str | None, make: str | None, model: str | None) -> Sequence[Override]:
        return [
            each
            for each in self._overrides
            if each.rule == name
            and each.machine in (None, machine)
            and (each.model is None or names_model(each.model, make, model))
        ]
