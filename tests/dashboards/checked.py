"""What a dashboard says that the catalogue of numbers and the table of routes do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from backend.api.routes import routes
from backend.config import Limits
from backend.store.metrics import METRICS, Metric
from tests.dashboards.infinity import panels, queries

UNITS: Final = {
    "TH/s": "THs",
    "W": "watt",
    "J/TH": "suffix: J/TH",
    "°C": "celsius",
    "rpm": "rotrpm",
    "s": "s",
    "ms": "ms",
    "": "short",
}
"""Unit of the catalogue → Grafana's."""
_ROUTES: Final = {route.path: route for route in routes(Limits()) if route.method == "GET"}


def faults(dashboard: Mapping[str, Any]) -> list[str]:
    """Each as where it stands and what it is; none: the dashboard asks for what there is and shows it in its unit."""
    found = [f"{where}: {what}" for where, query in queries(dashboard) for what in _of_query(query)]
    return found + [f"{panel['title']}: {what}" for panel in panels(dashboard) for what in _of_units(panel)]


def parameters(query: Mapping[str, Any]) -> dict[str, str]:
    """What is added to a query's address."""
    return {p["key"]: p["value"] for p in query["url_options"]["params"]}


def _of_query(query: Mapping[str, Any]) -> Iterator[str]:
    route = _ROUTES.get(query["url"])
    if route is None:
        yield f"no route {query['url']}"
        return
    known = {field.alias or name for name, field in route.query.model_fields.items()}
    yield from (f"{route.path} takes no {name}" for name in parameters(query).keys() - known)
    metric = parameters(query).get("metric")
    if metric is not None and metric not in METRICS:
        yield f"no metric {metric}"
    for column in query["columns"]:
        name = column["selector"].removeprefix("reading.")
        if column["type"] == "number" and column["selector"] != name and name not in METRICS:
            yield f"no number {name} in a reading"


def _of_units(panel: Mapping[str, Any]) -> Iterator[str]:
    defaults = panel["fieldConfig"]["defaults"].get("unit")
    for target in panel["targets"]:
        if target.get("url") == "/v1/series" and (metric := METRICS.get(parameters(target)["metric"])):
            yield from _of_unit(metric, defaults, is_sum=parameters(target).get("across") == "sum")
    if panel["type"] == "stat":
        shown = re.sub(r"[/^$\\]", "", panel["options"]["reduceOptions"]["fields"])
        if metric := METRICS.get(shown.removeprefix("reading.")):
            yield from _of_unit(metric, defaults)
    for override in panel["fieldConfig"]["overrides"]:
        metric = METRICS.get(override["matcher"]["options"].removeprefix("reading."))
        if metric is not None:
            unit = next((p["value"] for p in override["properties"] if p["id"] == "unit"), None)
            yield from _of_unit(metric, unit)


def _of_unit(metric: Metric, unit: str | None, *, is_sum: bool = False) -> Iterator[str]:
    """Of a flag the mean is a share, and the sum over machines a count of them."""
    wanted = "percentunit" if metric.type == "flag" and not is_sum else UNITS[metric.unit]
    if unit != wanted:
        yield f"{metric.name} in {unit}, and it is {wanted}"
