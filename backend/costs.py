"""What the machines of sites took, and what that cost: by whole days, each site's in its own time zone.

What is not known is not made up: without readings there is no energy, without a tariff no cost, and a machine that does
not tell its power is counted as unmetered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from agent.wire import Reading, State
from backend.ids import AccountId, SiteId
from backend.registry.site_tables import Site
from backend.store.protocol import Latest, Store

_HOUR: Final = timedelta(hours=1)
_QUARTER: Final = timedelta(minutes=15)
"""Days of some zones begin between two hours of UTC; none between two quarters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One site's energy of the days from `first` to `last`, both counted, and the money it cost."""

    site: SiteId
    name: str
    first: date
    last: date
    time_zone: str
    energy_kwh: float | None  # None: no machine told its power
    tariff_per_kwh: float | None
    currency: str | None
    machines: int  # heard from since the first day began
    unmetered: int  # of them, those that answer and tell no power: what they took is not in it

    @property
    def cost(self) -> float | None:
        """In the currency."""
        if self.energy_kwh is None or self.tariff_per_kwh is None:
            return None
        return self.energy_kwh * self.tariff_per_kwh


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What sites of one currency took together; None: those without a tariff."""

    currency: str | None
    energy_kwh: float
    cost: float | None


def yesterday(zone: str, now: datetime) -> date:
    """The last day that is over there."""
    return now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)


def today(zones: Iterable[str], now: datetime) -> date:
    """The newest day that has begun in any of the zones, and in UTC."""
    return max(now.astimezone(ZoneInfo(zone)).date() for zone in ("UTC", *zones))


async def costs(
    store: Store, account: AccountId, sites: Sequence[Site], *, last: date | None = None, days: int = 1, now: datetime
) -> list[Cost]:
    """Of each site, in the order given: the `days` that end with `last`, or with each site's yesterday."""
    if not sites:
        return []
    spans = {site.id: _span(site, last, days, now) for site in sites}
    energy = {span: await _energy_kwh(store, account, span) for span in set(spans.values())}
    heard = await store.latest(account, since=min(span.start for span in spans.values()))
    by_site: defaultdict[str, list[Latest]] = defaultdict(list)
    for one in heard:
        by_site[one.site].append(one)

    def one_site(site: Site) -> Cost:
        span = spans[site.id]
        since = [one for one in by_site[site.id] if one.reading.time >= span.start]
        return Cost(
            site=SiteId(site.id),
            name=site.name,
            first=span.first,
            last=span.last,
            time_zone=site.time_zone,
            energy_kwh=energy[span].get(SiteId(site.id)),
            tariff_per_kwh=site.tariff_per_kwh,
            currency=site.currency if site.tariff_per_kwh is not None else None,
            machines=len(since),
            unmetered=sum(_is_unmetered(one.reading) for one in since),
        )

    return [one_site(site) for site in sites]


def sums(found: Collection[Cost]) -> list[Sum]:
    """By currency, those without a tariff last; sites of which nothing is known are left out."""
    energy: defaultdict[str | None, float] = defaultdict(float)
    money: defaultdict[str | None, float] = defaultdict(float)
    for one in found:
        if one.energy_kwh is not None:
            energy[one.currency] += one.energy_kwh
            money[one.currency] += one.cost or 0.0
    order = sorted(energy, key=lambda currency: (currency is None, currency or ""))
    return [Sum(currency=each, energy_kwh=energy[each], cost=None if each is None else money[each]) for each in order]


def _is_unmetered(reading: Reading) -> bool:
    return reading.power_w is None and reading.state is not State.UNREACHABLE


@dataclass(frozen=True, slots=True)
class _Span:
    first: date
    last: date
    start: datetime  # UTC
    end: datetime


def _span(site: Site, last: date | None, days: int, now: datetime) -> _Span:
    zone = ZoneInfo(site.time_zone)
    last = last or yesterday(site.time_zone, now)
    first = last - timedelta(days=days - 1)
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, last + timedelta(days=1)))
    return _Span(first, last, start, end)


async def _energy_kwh(store: Store, account: AccountId, span: _Span) -> dict[SiteId | None, float]:
    """Of each site of which anything is known: one question for all sites whose days begin at one moment."""
    is_hourly = span.start.minute == span.end.minute == 0
    step = _HOUR if is_hourly else _QUARTER
    found = await store.energy(account, start=span.start, end=span.end, step=step, by="site")
    return {one.site: sum(kwh for _, kwh in one.points) for one in found}
