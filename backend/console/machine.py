"""The inside of the page of one machine: its newest reading, its last day, its warnings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

from markupsafe import Markup
from pydantic import StringConstraints

from agent.wire import MachineId
from backend.api.route import Call
from backend.console import files
from backend.console.alarms import of_machine
from backend.console.overview import farm
from backend.console.parts import Part, may
from backend.console.sparkline import sparkline
from backend.ids import SiteId
from backend.registry import sites
from backend.registry.errors import Missing
from backend.store.protocol import SeriesQuery

DAY: Final = timedelta(days=1)
STEP: Final = timedelta(minutes=5)
CHARTS: Final[Mapping[str, tuple[str, str]]] = {
    "hashrate_ths": ("Hashrate", "hashrate"),
    "power_w": ("Power", "power"),
    "efficiency_j_per_th": ("Efficiency", "efficiency"),
    "chip_temp_c": ("Hottest chip", "temperature"),
    "board_temp_c": ("Hottest board", "temperature"),
    "inlet_temp_c": ("Inlet air", "temperature"),
    "fan_min_rpm": ("Slowest fan", "speed"),
}
"""Metric → its title, and how `figures` writes it."""


class MachineQuery(files.Anything):
    """Which one."""

    machine: Annotated[str, StringConstraints(pattern="^mnr-[0-9a-z]{16}$")]


async def _machine(call: Call[Any]) -> Mapping[str, object]:
    """Raises `Missing` for a machine that never reported to this account."""
    name = MachineId(call.query.machine)
    seen = [one for one in await call.services.store.latest(call.account) if one.reading.machine == name]
    if not seen:
        raise Missing("there is no such machine in this account, or nothing of it is kept any more")
    newest = max(seen, key=lambda one: one.reading.time)
    async with call.services.database.read() as session:
        site = await sites.find(session, call.account, newest.site)
        alarms = await of_machine(session, call.account, name, now=call.now)
    (machine,) = farm([newest], alarms, {SiteId(site.id): site.name}, now=call.now).machines
    return {
        "machine": machine,
        "reading": machine.reading,
        "site": site,
        "over": [alarm for alarm in alarms if alarm.ended],
        "lines": [line for metric in CHARTS if (line := await _line(call, name, metric))],
        "lan_url": f"{site.lan_url.rstrip('/')}/m/{name}" if site.lan_url else None,
        "may_operate": may(call, "operate"),
    }


async def _line(call: Call[Any], machine: MachineId, metric: str) -> Mapping[str, object] | None:
    """A chart of the last day; None where the machine does not tell it."""
    start = call.now - DAY
    query = SeriesQuery(metric=metric, start=start, end=call.now, step=STEP, machines=(machine,))
    found = await call.services.store.series(call.account, query)
    if not found:
        return None
    values = [value for _, value in found[0].points]
    title, figure = CHARTS[metric]
    drawn: Markup = sparkline(
        found[0].points,
        start=start,
        end=call.now,
        width=640,
        height=96,
        low=0 if metric == "hashrate_ths" else None,
        least_span=max(values) * 0.2,
    )
    return {"title": title, "figure": figure, "least": min(values), "most": max(values), "drawn": drawn}


PARTS: Final = (
    Part(
        name="machine",
        title="Machine",
        access="read",
        summary="One machine: its newest reading, its last day, its warnings, as HTML",
        shows=_machine,
        query=MachineQuery,
    ),
)
"""For the table of pages."""
