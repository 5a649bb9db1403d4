"""From numbers to HTML: the page's frame, and the farm inside it. Everything is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from backend.console import figures
from backend.console.alarms import MOST
from backend.console.charts import Charts
from backend.console.overview import Farm, Machine, Totals
from backend.console.sparkline import Points, sparkline, stripe
from backend.console.view import View

ROWS: Final = 100
"""Rows shown unasked; a link shows the others."""
_ALARMS: Final = 8
"""Machines named under one warning; a link shows the others."""


_OVER: Final = 20
"""Warnings that are over, by name."""
_ZOOM: Final = 0.3
"""A chart of the whole farm shows at least this part of its value: a drop shows, noise does not."""


_TEMPLATES: Final = Environment(
    loader=PackageLoader("backend.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["figures"] = figures


def frame(*, contact_name: str, contact_email: str | None, version: str, page: str = "page", visit: str = "") -> str:
    """A page without any data: everybody may see it. `page`: its template.

    `version` is in the addresses of style and script, so that a browser fetches a new one. `visit`: what the page says
    how long it was open by; "" for none.
    """
    return _TEMPLATES.get_template(f"{page}.html").render(
        contact_name=contact_name, contact_email=contact_email, version=version, visit=visit, page=page
    )


def part(name: str, **shown: object) -> str:
    """The inside of a page about people."""
    return _TEMPLATES.get_template(f"parts/{name}.html").render(**shown)


def farm(farm: Farm, view: View, rows: Sequence[Machine], *, chosen: int, charts: Charts, backend_url: str) -> str:
    """The inside of the page: `rows` of the `chosen` machines of a view, and everything above them."""
    totals = farm.totals
    return _TEMPLATES.get_template("farm.html").render(
        farm=farm,
        totals=totals,
        view=view,
        rows=rows,
        chosen=chosen,
        backend_url=backend_url,
        by_id=sorted(farm.machines, key=lambda machine: machine.id),
        warned=sum(bool(machine.alarms) for machine in farm.machines),
        alarms_shown=_ALARMS,
        over_shown=_OVER,
        over_words=f"{MOST} or more warnings" if len(farm.over) >= MOST else _warnings(len(farm.over)),
        severity_words=_severity_words(totals.severities),
        many_sites=len(farm.sites) > 1,
        of_expected=_of_expected(totals),
        power_note=_peak(charts),
        trends=_trends(charts, totals),
        row_trends={machine.id: _row_trend(machine, charts) for machine in rows if machine.id in charts.machines},
        window_words=f"Last {_span(charts.span)}",
        is_hot=lambda machine: any(alarm.rule == "chip_hot" for alarm in machine.alarms),
        chip_tone=next((t.severity for t in farm.troubles if t.alarms[0].rule == "chip_hot"), ""),
        summary=_summary(farm),
        title=_title(farm),
    )


def commands(text: str) -> Markup:
    """Escape a text and set what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def _trends(charts: Charts, totals: Totals) -> dict[str, Markup]:
    hashrate, power = dict(charts.hashrate_ths), dict(charts.power_w)
    efficiency = [(time, power[time] / hashrate[time]) for time in sorted(power.keys() & hashrate) if hashrate[time]]

    def line(name: str, points: Points, *, least_span: float, expected: float | None = None) -> Markup:
        label = f"{name} over the last {_span(charts.span)}"
        return sparkline(
            points, start=charts.start, end=charts.end, label=label, least_span=least_span, expected=expected
        )

    return {
        "hashrate": line(
            "Hashrate",
            charts.hashrate_ths,
            least_span=max(hashrate.values(), default=0) * _ZOOM,
            expected=totals.expected_ths,
        ),
        "power": line("Power", charts.power_w, least_span=max(power.values(), default=0) * _ZOOM),
        "efficiency": line("Efficiency", efficiency, least_span=max((v for _, v in efficiency), default=0) * _ZOOM),
        "chip": line("Hottest chip", charts.chip_temp_c, least_span=20),
        "states": stripe(totals.states),
    }


def _row_trend(machine: Machine, charts: Charts) -> Markup:
    return sparkline(
        charts.machines.get(machine.id, ()),
        start=charts.start,
        end=charts.end,
        width=136,
        height=26,
        low=0,
        expected=machine.reading.expected_ths,
    )


def _span(span: timedelta) -> str:
    """`hour`, or `4 min` while the farm is young."""
    return "hour" if span >= timedelta(minutes=59) else figures.duration(span)


def _severity_words(severities: Mapping[str, int]) -> str:
    return " · ".join(f"{count} {severity}" for severity, count in severities.items() if count)


def _peak(charts: Charts) -> str:
    most = max((watts for _, watts in charts.power_w), default=None)
    return "" if most is None else f"peak {figures.power(most)}, last {_span(charts.span)}"


def _of_expected(totals: Totals) -> str:
    if totals.hashrate_ths is None or not totals.expected_ths:
        return ""
    return f"{figures.share(totals.hashrate_ths, totals.expected_ths)} of {figures.hashrate(totals.expected_ths)}"


def _warnings(count: int) -> str:
    return f"{count} warning{'s' if count != 1 else ''}"


def _summary(farm: Farm) -> str:
    """What a screen reader says when it changes; no figures that change with each poll."""
    totals = farm.totals
    if not farm.totals.machines:
        return "No machine has reported yet."
    warnings = _severity_words(totals.severities).replace(" · ", ", ") or "none"
    return f"{totals.hashing} of {totals.machines} machines hashing. Warnings: {warnings}."


def _title(farm: Farm) -> str:
    """Of the browser's tab: what needs a person, seen from another tab."""
    if not farm.totals.machines:
        return "ItsMiner"
    hashing = f"{farm.totals.hashing}/{farm.totals.machines}"
    return f"({farm.alarms}) {hashing} hashing" if farm.alarms else f"{hashing} hashing · ItsMiner"


_TEMPLATES.filters["commands"] = commands
