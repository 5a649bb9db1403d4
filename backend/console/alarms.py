"""Warnings of the registry, firing and lately over, in the catalogue's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import MachineId
from backend.console.overview import Alarm
from backend.ids import AccountId, SiteId
from backend.registry import warnings
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import Catalogue, Rule

LATELY: Final = timedelta(hours=24)
"""How long a warning that is over is told of: whoever was called at night sees in the morning what it was."""
MOST: Final = 100
"""Warnings that are over, at most; how many there were beyond them is not counted."""


async def alarms(session: AsyncSession, account: AccountId, *, now: datetime) -> list[Alarm]:
    """What fires now, and what ended lately."""
    firing = await warnings.listed(session, account, which="active")
    over = await warnings.listed(session, account, which="resolved", since=now - LATELY, limit=MOST)
    return [_alarm(warning) for warning in (*firing, *over)]


async def of_machine(session: AsyncSession, account: AccountId, machine: MachineId, *, now: datetime) -> list[Alarm]:
    """What fires of one machine, and what ended lately, newest first."""
    found = await warnings.listed(session, account, which="all", machine=machine, limit=MOST)
    return [_alarm(one) for one in found if one.resolved_at is None or one.resolved_at >= now - LATELY]


def _alarm(warning: Warning) -> Alarm:
    rule = _rules().get(warning.rule)  # None: it fired before the rule was taken out
    unit = rule.unit if rule else None
    return Alarm(
        id=warning.id,
        rule=warning.rule,
        title=rule.title if rule else warning.rule.replace("_", " ").capitalize(),
        severity=warning.severity,
        site=SiteId(warning.site_id),
        machine=MachineId(warning.machine) if warning.machine else None,
        since=warning.since,
        value=_measured(warning.value, unit),
        # "0 TH/s, limit 0 TH/s" says nothing that the title did not.
        threshold=_measured(warning.threshold or None, unit),
        advice=rule.first if rule else None,
        ended=warning.resolved_at,
        is_acknowledged=warning.acknowledged_at is not None,
    )


def _measured(value: float | None, unit: str | None) -> str | None:
    return None if value is None or unit is None else f"{value:,.4g}\u202f{unit}"


@cache
def _rules() -> Mapping[str, Rule]:
    return {rule.name: rule for rule in Catalogue.load()}
