"""An account's told totals in its file (`backend.store.told`): one row a site or group of it, and poll."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from backend.ids import SiteId
from backend.store import told
from backend.store.hot import EPOCH, HotFile, windows
from backend.store.protocol import GAP, SeriesQuery, Told, TooManyPoints
from backend.store.questions import first_step, step_of, within
from backend.store.rollups import joules

_NAMES: Final = ", ".join(("time", "site", "make", "model", *told.FIELDS))
_WHOLE: Final = "make IS NULL AND model IS NULL"
"""Of the rows of a poll the one that is of the whole site."""


def rows(file: HotFile, start: datetime, end: datetime, site: SiteId | None, *, now: datetime, most: int) -> list[Told]:
    """Answer `Store.told`."""
    with file.reading() as cursor:
        start = max(start, now - windows(cursor)["telemetry_raw"])
        source = file.source(cursor, "told", _NAMES, within(start, end), since=start, until=end)
        found = cursor.execute(
            f"SELECT * FROM {source} WHERE ($site IS NULL OR site = $site)"  # noqa: S608
            f" ORDER BY time, site, make NULLS FIRST, model NULLS FIRST LIMIT {most + 1}",
            {"site": site},
        ).fetchall()
    if len(found) > most:
        raise TooManyPoints(f"there are more than {most} totals")
    answer = []
    for time, of_site, make, model, *values in found:
        row = dict(zip(told.FIELDS, values, strict=True))
        answer.append(Told(SiteId(of_site), told.total_of(time.replace(tzinfo=EPOCH.tzinfo), make, model, row)))
    return answer


def steps(file: HotFile, query: SeriesQuery, field: str, *, now: datetime) -> told.Told:
    """The mean of a field of each site's whole totals, by step."""
    with file.reading() as cursor:
        start = max(first_step(query.start, query.step), now - windows(cursor)["telemetry_raw"])
        where = f"{within(start, query.end)} AND {_WHOLE} AND {field} IS NOT NULL"
        source = file.source(cursor, "told", f"time, site, {field}", where, since=start, until=query.end)
        rows = cursor.execute(
            f"SELECT site, {step_of(query.step)}, avg({field})::DOUBLE / {told.scale(field)}"  # noqa: S608
            f" FROM {source} WHERE ($site IS NULL OR site = $site) GROUP BY ALL ORDER BY ALL",
            {"site": query.site},
        ).fetchall()
    return _by_site(rows)


def energy(
    file: HotFile, start: datetime, end: datetime, step: timedelta, site: SiteId | None, *, now: datetime
) -> told.Told:
    """The kWh of each site by step: each whole total's power over the time since the one before it, up to `GAP`."""
    with file.reading() as cursor:
        start = max(start, now - windows(cursor)["telemetry_raw"])
        since, power = start - GAP, joules(told.POWER, of="site", scale=told.scale(told.POWER))
        where = f"{within(since, end)} AND {_WHOLE}"
        source = file.source(cursor, "told", f"time, site, {told.POWER}", where, since=since, until=end)
        rows = cursor.execute(
            f"SELECT site, {step_of(step)}, sum(joules) / 3.6e6 FROM (SELECT *, {power} AS joules FROM {source})"  # noqa: S608
            f" WHERE {within(start, end)} AND joules IS NOT NULL AND ($site IS NULL OR site = $site)"
            " GROUP BY ALL ORDER BY ALL",
            {"site": site},
        ).fetchall()
    return _by_site(rows)


def _by_site(rows: Iterable[tuple[str, int, float]]) -> told.Told:
    found: dict[SiteId, dict[datetime, float]] = {}
    for site, at_us, value in rows:
        found.setdefault(SiteId(site), {})[EPOCH + timedelta(microseconds=at_us)] = value
    return found
