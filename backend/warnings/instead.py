"""What happened instead of what a scenario expected, in words for whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId
from backend.registry.rule_tables import RuleState
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import Catalogue

Clock = Callable[[datetime], str]
"""A time as the scenario's files write it."""


def written(at: timedelta) -> str:
    """A time as scenario files write it."""
    seconds = int(at.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0m"


def of_firing(warning: Warning, catalogue: Catalogue, clock: Clock) -> str:
    """Of a warning that nobody expected."""
    value = _value(warning, catalogue)
    return f"it began at {clock(warning.since)} and fired at {clock(warning.started_at)}, {warning.severity}{value}"


async def of_quiet(
    session: AsyncSession, account: AccountId, rule: str, machine: str, catalogue: Catalogue, clock: Clock
) -> str:
    """Of a rule that was expected to fire. `machine`: its pseudonym, "" for a site's rule."""
    last = await session.scalar(
        select(Warning)
        .where(Warning.account_id == account, Warning.rule == rule, Warning.machine == machine)
        .order_by(Warning.started_at.desc())
        .limit(1)
    )
    state = await session.scalar(
        select(RuleState.state).where(
            RuleState.account_id == account, RuleState.rule == rule, RuleState.machine == machine
        )
    )
    for severity, level in state["levels"].items() if state else ():
        if level["began_at"]:
            limit = next(each for each in catalogue[rule].limits if each.severity == severity)
            begun = clock(datetime.fromisoformat(level["began_at"]))
            return f"it is pending since {begun}; by the catalogue it has to last {written(limit.duration)}"
    if last is not None and last.resolved_at is not None:
        why = f" ({last.resolution})" if last.resolution not in (None, "recovered") else ""
        value = _value(last, catalogue)
        return f"it fired at {clock(last.started_at)}{value} and was over at {clock(last.resolved_at)}{why}"
    return "nothing that it looks for is so"


def of_messages(sent: Sequence[tuple[datetime, str]], clock: Clock) -> str:
    """Of what left: when, and what it said."""
    return "; ".join(f"{clock(at)} {subject}" for at, subject in sent) or "none"


def _value(warning: Warning, catalogue: Catalogue) -> str:
    if warning.value is None:
        return ""
    unit = catalogue[warning.rule].unit or ""
    limit = f" (limit {warning.threshold:g})" if warning.threshold is not None else ""
    return f", at {warning.value:g} {unit}{limit}"
