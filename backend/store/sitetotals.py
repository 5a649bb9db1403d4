"""An account's told totals in its file (`backend.store.told`): one row a site or group of it, and poll."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from backend.ids import SiteId
from backend.store import told
from backend.store.hot import EPOCH, HotFile, windows
from backend.store.protocol import SeriesQuery, Told, TooManyPoints
from backend.store.questions import first_step, step_of, within

_NAMES: Final = ", ".join(("time", "site", "make", "model", *told.FIELDS))


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
    found: dict[SiteId, dict[datetime, float]] = {}
    with file.reading() as cursor:
        start = max(first_step(query.start, query.step), now - windows(cursor)["telemetry_raw"])
        where = f"{within(start, query.end)} AND make IS NULL AND model IS NULL AND {field} IS NOT NULL"
        source = file.source(cursor, "told", f"time, site, {field}", where, since=start, until=query.end)
        answer = cursor.execute(
            f"SELECT site, {step_of(query.step)}, avg({field})::DOUBLE / {told.scale(field)}"  # noqa: S608
            f" FROM {source} WHERE ($site IS NULL OR site = $site) GROUP BY ALL ORDER BY ALL",
            {"site": query.site},
        )
        for site, at_us, value in answer.fetchall():
            found.setdefault(SiteId(site), {})[EPOCH + timedelta(microseconds=at_us)] = value
    return found
