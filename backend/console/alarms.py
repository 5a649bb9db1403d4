"""Firing warnings of the registry, in the catalogue's words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sqlalchemy.ext.asyncio import AsyncSession

from agent.wire import MachineId
from backend.console.overview import Alarm
from backend.ids import AccountId, SiteId
from backend.registry import warnings
from backend.registry.tables import Warning
from backend.warnings.catalogue import Catalogue, Rule


async def alarms(session: AsyncSession, account: AccountId) -> list[Alarm]:
    """What fires now, newest first."""
    return [_alarm(warning) for warning in await warnings.listed(session, account, which="active")]


def _alarm(warning: Warning) -> Alarm:
    rule = _rules().get(warning.rule)  # None: it fired before the rule was taken out
    unit = rule.unit if rule else None
    return Alarm(
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
    )


def _measured(value: float | None, unit: str | None) -> str | None:
    return None if value is None or unit is None else f"{value:,.4g}\u202f{unit}"


@cache
def _rules() -> Mapping[str, Rule]:
    return {rule.name: rule for rule in Catalogue.load()}
