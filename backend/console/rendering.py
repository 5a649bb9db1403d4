"""From numbers to HTML: the page's frame, and the farm inside it. Everything is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from backend.console import figures
from backend.console.alarms import MOST
from backend.console.charts import Charts
from backend.console.overview import Farm, Machine, Totals
from backend.console.sparkline import Points, sparkline, stripe
from backend.console.view import View
from backend.console.vocabulary import SCRIPTS
from backend.notify.tongue import Tongue

ENGLISH: Final = Tongue()
ROWS: Final = 100
"""Of a page of the table; links turn the pages."""
_ALARMS: Final = 8
"""Machines named under one warning; a link shows the others."""


_OVER: Final = 20
"""Warnings that are over, by name."""
MAP: Final = 2_000
"""Squares that the map has at most: more of them nobody can tell apart, and a phone is slow with them."""
_ZOOM: Final = 0.3
"""A chart of the whole farm shows at least this part of its value: a drop shows, noise does not."""


_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):[\d.]+\+00:00")

_TEMPLATES: Final = Environment(
    loader=PackageLoader("backend.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["figures"] = figures


def frame(
    tongue: Tongue = ENGLISH,
    *,
    contact_name: str,
    contact_email: str | None,
    version: str,
    template: str = "page",
    page: str = "",
    title: str = "",
    visit: str = "",
) -> str:
    """A page without any data: everybody may see it. `page`: its name, which its inside has, too.

    `version` is in the addresses of style and script, so that a browser fetches a new one. `visit`: what the page says
    how long it was open by; "" for none.
    """
    return _TEMPLATES.get_template(f"{template}.html").render(
        _spoken(tongue),
        contact_name=contact_name,
        contact_email=contact_email,
        version=version,
        visit=visit,
        page=page,
        title=title,
        script_words=json.dumps({text: said for text in SCRIPTS if (said := tongue.say(text)) != text}),
    )


def part(name: str, tongue: Tongue = ENGLISH, **shown: object) -> str:
    """The inside of a page."""
    return _TEMPLATES.get_template(f"parts/{name}.html").render(_spoken(tongue), **shown)


def farm(
    tongue: Tongue, farm: Farm, view: View, rows: Sequence[Machine], *, chosen: int, charts: Charts, backend_url: str
) -> str:
    """The inside of the first page: `rows` of the `chosen` machines of a view, and everything above them."""
    totals, say = farm.totals, tongue.say
    over = f"{MOST}+" if len(farm.over) >= MOST else f"{len(farm.over)}"
    return _TEMPLATES.get_template("farm.html").render(
        _spoken(tongue),
        farm=farm,
        totals=totals,
        view=view,
        rows=rows,
        chosen=chosen,
        backend_url=backend_url,
        squares=sorted(farm.machines[:MAP], key=lambda machine: machine.id),
        first=(view.page - 1) * ROWS,
        per_page=ROWS,
        warned=sum(bool(machine.alarms) for machine in farm.machines),
        alarms_shown=_ALARMS,
        over_shown=_OVER,
        over_words=say("Ended in the last 24 hours: {count}", count=over),
        severity_words=_severity_words(totals.severities, tongue),
        many_sites=len(farm.sites) > 1,
        of_expected=_of_expected(totals, tongue),
        power_note=_peak(charts, tongue),
        trends=_trends(charts, totals, tongue),
        row_trends={machine.id: _row_trend(machine, charts) for machine in rows if machine.id in charts.machines},
        window_words=_last(charts.span, tongue),
        is_hot=lambda machine: any(alarm.rule == "chip_hot" for alarm in machine.alarms),
        chip_tone=next((t.severity for t in farm.troubles if t.alarms[0].rule == "chip_hot"), ""),
        summary=_summary(farm, tongue),
        title=_title(farm, tongue),
    )


def _spoken(tongue: Tongue) -> dict[str, Any]:
    return {"t": tongue.say, "language": tongue.code, "lasting": tongue.lasting}


def commands(text: str) -> Markup:
    """Escape a text and set what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def named(values: Iterable[str], names: Mapping[str, str], say: Callable[[str], str] = str) -> list[tuple[str, str]]:
    """What a choice offers: each value with what it is called."""
    return [(value, say(names.get(value, value))) for value in values]


def plain(text: str) -> str:
    """A text whose times people read: `2026-01-01 12:00 UTC` for ISO 8601."""
    return _ISO.sub(r"\1 \2 UTC", text)


def _trends(charts: Charts, totals: Totals, tongue: Tongue) -> dict[str, Markup]:
    hashrate, power = dict(charts.hashrate_ths), dict(charts.power_w)
    efficiency = [(time, power[time] / hashrate[time]) for time in sorted(power.keys() & hashrate) if hashrate[time]]

    def line(name: str, points: Points, *, least_span: float, expected: float | None = None) -> Markup:
        label = tongue.say("{name}, {span}", name=tongue.say(name), span=_last(charts.span, tongue))
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


def _last(span: timedelta, tongue: Tongue) -> str:
    """`Last hour`, or `Last 4 min` while the farm is young."""
    if span >= timedelta(minutes=59):
        return tongue.say("Last hour")
    return tongue.say("Last {span}", span=figures.duration(span))


def _severity_words(severities: Mapping[str, int], tongue: Tongue) -> str:
    return " · ".join(f"{count} {tongue.say(severity)}" for severity, count in severities.items() if count)


def _peak(charts: Charts, tongue: Tongue) -> str:
    most = max((watts for _, watts in charts.power_w), default=None)
    return "" if most is None else tongue.say("peak {power}", power=figures.power(most))


def _of_expected(totals: Totals, tongue: Tongue) -> str:
    if totals.hashrate_ths is None or not totals.expected_ths:
        return ""
    part = figures.share(totals.hashrate_ths, totals.expected_ths)
    return tongue.say("{part} of {whole}", part=part, whole=figures.hashrate(totals.expected_ths))


def _summary(farm: Farm, tongue: Tongue) -> str:
    """What a screen reader says when it changes; no figures that change with each poll."""
    totals, say = farm.totals, tongue.say
    if not totals.machines:
        return say("No machine has reported yet.")
    warnings = _severity_words(totals.severities, tongue).replace(" · ", ", ") or say("none")
    hashing = say("{count} of {whole} machines hashing.", count=totals.hashing, whole=totals.machines)
    return f"{hashing} {say('Warnings: {words}.', words=warnings)}"


def _title(farm: Farm, tongue: Tongue) -> str:
    """Of the browser's tab: what needs a person, seen from another tab."""
    if not farm.totals.machines:
        return "ItsMiner"
    hashing = tongue.say("{count} hashing", count=f"{farm.totals.hashing}/{farm.totals.machines}")
    return f"({farm.alarms}) {hashing}" if farm.alarms else f"{hashing} · ItsMiner"


_TEMPLATES.filters["commands"] = commands
_TEMPLATES.filters["zip_names"] = named
_TEMPLATES.filters["sign"] = lambda compare: {">=": "≥", "<=": "≤"}.get(compare, compare)
_TEMPLATES.filters["plain"] = plain
