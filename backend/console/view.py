"""Which machines the reader wants to see, in which order: parsed from a link, written back into links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from backend.console.overview import STATES, Machine

WARNED: Final = "warned"
"""Beside the states: machines with a firing warning."""
_LONGEST: Final = 100
"""Characters of a search."""


def _number(value: float | None) -> tuple[float, str] | None:
    return None if value is None else (value, "")


ORDERS: Final[Mapping[str, Callable[[Machine], tuple[float, str] | None]]] = {
    "machine": lambda m: (0.0, m.id),
    "hashrate": lambda m: _number(m.reading.hashrate_ths),
    "power": lambda m: _number(m.reading.power_w),
    "efficiency": lambda m: _number(m.reading.efficiency_j_per_th),
    "chip": lambda m: _number(m.reading.chip_temp_c),
    "fan": lambda m: _number(m.slowest_fan_rpm),
    "rejected": lambda m: _number(m.rejected),
    "uptime": lambda m: _number(m.reading.uptime_s),
}
"""What the table can be sorted by; without any it is worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One choice. Made by `parse`, where anything unknown is the default, so that no old link breaks."""

    state: str | None = None  # one of STATES, or WARNED
    sort: str | None = None  # one of ORDERS
    falling: bool = False
    site: str | None = None  # its id
    search: str = ""  # in pseudonym, make, model, firmware
    page: int = 1  # the first is 1

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> View:
        """From the query of a link that `link` made."""
        state, sort = query.get("state"), query.get("sort", "")
        known = sort.removeprefix("-") in ORDERS
        return cls(
            state=state if state in (*STATES, WARNED) else None,
            sort=sort.removeprefix("-") if known else None,
            falling=known and sort.startswith("-"),
            site=query.get("site") or None,
            search=query.get("q", "").strip()[:_LONGEST],
            page=max(1, int(page)) if (page := query.get("page", "")).isdecimal() and len(page) < 7 else 1,
        )

    def pick(self, machines: Sequence[Machine]) -> list[Machine]:
        """The machines to show, in order; one that lacks the value sorted by comes last."""
        chosen = [
            machine
            for machine in machines
            if (self.state in (None, machine.state) or (self.state == WARNED and machine.alarms))
            and self.site in (None, machine.site)
            and self._finds(machine)
        ]
        if self.sort is None:
            return chosen
        order = ORDERS[self.sort]
        valued = [(value, machine) for machine in chosen if (value := order(machine)) is not None]
        valued.sort(key=lambda pair: pair[0], reverse=self.falling)
        return [machine for _, machine in valued] + [machine for machine in chosen if order(machine) is None]

    def _finds(self, machine: Machine) -> bool:
        """Whether each word searched for is in what names the machine."""
        if not self.search:
            return True
        reading = machine.reading
        named = " ".join(filter(None, (machine.id, reading.make, reading.model, reading.firmware))).lower()
        return all(word in named for word in self.search.lower().split())

    def only(self, state: str | None) -> str:
        """A link to the machines in one state, or to all."""
        return replace(self, state=state, page=1).link

    def by(self, column: str) -> str:
        """A link that sorts by a column: rising, then falling, then worst first again."""
        if self.sort != column:
            return replace(self, sort=column, falling=False, page=1).link
        if not self.falling:
            return replace(self, falling=True, page=1).link
        return replace(self, sort=None, falling=False, page=1).link

    def turned(self, page: int) -> str:
        """A link to another page of the same machines."""
        return replace(self, page=page).link

    @property
    def link(self) -> str:
        """The page with this view."""
        query = {
            "state": self.state,
            "sort": f"-{self.sort}" if self.falling else self.sort,
            "site": self.site,
            "q": self.search,
            "page": self.page if self.page > 1 else None,
        }
        return "/" + (f"?{text}" if (text := urlencode({k: v for k, v in query.items() if v})) else "")
