"""From a reading to what one rule sees in it."""

from __future__ import annotations

from datetime import timedelta

from agent.wire import Reading
from backend.warnings.catalogue import Rule
from backend.warnings.fields import FIELDS
from backend.warnings.known import Known
from backend.warnings.step import Seen


def is_quiet(rule: Rule, reading: Reading, known: Known, *, is_armed: bool = False) -> bool:
    """Whether the reading moves nothing as long as the rule's state is untouched, but for being armed: the way of
    nearly all readings."""
    value = FIELDS[rule.field](reading, known)
    if value is not None and rule.is_bad(value, rule.limits[0]):
        return False
    return is_armed or rule.armed_by is None or not _arms(rule, reading, known)


def observe(rule: Rule, reading: Reading, known: Known, covers: timedelta) -> Seen:
    """What the reading says. `covers`: how much of the time since the last reading it may speak for.

    A need that is not met decides only over a value that is bad or missing: a good value is good whatever else
    is so.
    """
    value = FIELDS[rule.field](reading, known)
    is_moot = False
    if value is None or rule.is_bad(value, rule.limits[0]):
        for need in rule.needs:
            met = FIELDS[need.field](reading, known)
            if met is not None and bool(met) is need.value:
                continue
            if met is not None and need.otherwise == "clear":
                is_moot = True
            else:
                value = None
    return Seen(value, is_moot, _arms(rule, reading, known), covers)


def _arms(rule: Rule, reading: Reading, known: Known) -> bool:
    if rule.armed_by is None:
        return False
    value = FIELDS[rule.armed_by.field](reading, known)
    return value is not None and value > rule.armed_by.above
