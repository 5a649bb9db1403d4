"""The chart in a mail: the last hours of what the worst warning is about, drawn here and sent along."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.notify.claim import Claim
from backend.notify.protocol import Image
from backend.notify.tongue import Tongue
from backend.store.metrics import METRICS
from backend.store.protocol import SeriesQuery, Store
from backend.warnings.catalogue import Catalogue

WINDOW: Final = timedelta(hours=6)
STEP: Final = timedelta(minutes=2)

_ENOUGH: Final = 5  # points
_SHOWN_BY: Final[Mapping[str, str]] = {
    "hashrate_percent": "hashrate_ths",
    "boards_missing": "hashrate_ths",
    "chips_working_percent": "hashrate_ths",
    "fan_slowest_rpm": "fan_min_rpm",
    "efficiency_percent": "efficiency_j_per_th",
    "power_percent": "power_w",
}
"""Field of a rule → metric that shows it; what has a title shows itself, all else the hashrate."""
TITLES: Final[Mapping[str, str]] = {
    "hashrate_ths": "Hashrate",
    "power_w": "Power",
    "efficiency_j_per_th": "Efficiency",
    "chip_temp_c": "Hottest chip",
    "board_temp_c": "Hottest board",
    "inlet_temp_c": "Inlet air",
    "fan_min_rpm": "Slowest fan",
}


class Pictures:
    """Draws from the store."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    async def of(self, claim: Claim, *, now: datetime) -> Image | None:
        """For a message about warnings; None when there is too little to see."""
        told = claim.agenda.new or claim.agenda.standing
        if claim.site is None or not told:
            return None
        worst = told[0]
        rule = self._catalogue.get(worst.rule)
        field = rule.field if rule is not None else ""
        metric = METRICS[_SHOWN_BY.get(field, field if field in TITLES else "hashrate_ths")]
        query = SeriesQuery(
            metric=metric.name,
            start=now - WINDOW,
            end=now,
            step=STEP,
            across="sum" if not worst.machine else None,
            site=SiteId(claim.site.id),
            machines=(MachineId(worst.machine),) if worst.machine else (),
        )
        series = await self._store.series(AccountId(claim.site.account_id), query)
        points = series[0].points if series else ()
        if len(points) < _ENOUGH:
            return None
        from backend.notify.chart import drawn  # not at the top: only who sends mails needs Pillow

        tongue = Tongue.of(claim.language, claim.contact.time_zone if claim.contact else "UTC")
        limit = worst.threshold if rule is not None and rule.field == metric.name else None
        png = await asyncio.to_thread(
            drawn, points, start=now - WINDOW, end=now, zone=tongue.zone, limit=limit, since=worst.since
        )
        says = tongue.say(
            "{metric} of {name}, last {hours} h ({unit})",
            metric=tongue.say(TITLES[metric.name]),
            name=worst.machine or claim.site.name,
            hours=round(WINDOW / timedelta(hours=1)),
            unit=metric.unit,
        )
        return Image(f"chart.{claim.id}@itsminer", png, says)
