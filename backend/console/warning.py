"""The inside of the page of one warning: why it fired, who was told, and what one can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

from markupsafe import Markup
from pydantic import StringConstraints

from backend.api import explaining, sites, warnings
from backend.api.explaining import ExplainReply, Metric
from backend.api.route import Call
from backend.console import files
from backend.console.parts import Part, may
from backend.console.sparkline import sparkline
from backend.store.metrics import METRICS


class WarningQuery(files.Anything):
    """Which one."""

    warning: Annotated[str, StringConstraints(min_length=1, max_length=64)]


async def _warning(call: Call[Any]) -> Mapping[str, object]:
    """Raises `Missing`."""
    query = warnings.WarningQuery(warning=call.query.warning)
    found = await explaining.explain(Call(call.request, call.services, query, call.bearer, call.now))
    names = {site.site: site.name for site in (await sites.listed(call)).sites}
    rule = call.services.actions.catalogue.get(found.warning.rule)
    return {
        "found": found,
        "warning": found.warning,
        "rule": rule,
        "unit": (rule.unit if rule else None) or "",
        "site_name": names.get(found.warning.site, found.warning.site),
        "lines": [line for metric in found.readings if (line := _line(found, metric))],
        "may_operate": may(call, "operate"),
        "is_person": may(call, "privacy"),
        "seconds": lambda value: timedelta(seconds=value),
    }


def _line(found: ExplainReply, metric: Metric) -> Mapping[str, object] | None:
    if not metric.points:
        return None
    start, end = metric.points[0][0], max(metric.points[-1][0], found.warning.started_at)
    limit = found.warning.threshold if found.rule is not None and found.rule.what == metric.metric else None
    values = [value for _, value in metric.points]
    drawn: Markup = sparkline(metric.points, start=start, end=end, width=640, height=96, expected=limit)
    unit = METRICS[metric.metric].unit
    return {"metric": metric.metric, "unit": unit, "least": min(values), "most": max(values), "drawn": drawn}


PARTS: Final = (
    Part(
        name="warning",
        title="Warning",
        access="read",
        summary="Why a warning fired and who was told, as HTML",
        shows=_warning,
        query=WarningQuery,
    ),
)
"""For the table of pages."""
