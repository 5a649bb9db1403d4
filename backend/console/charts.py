"""The lines of the first page: an hour of the whole farm, and of each machine that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.wire import MachineId
from backend.console.sparkline import Points
from backend.ids import AccountId
from backend.store.protocol import Aggregate, SeriesQuery, Store

WINDOW: Final = timedelta(hours=1)
STEP: Final = timedelta(minutes=2)
"""Two polls: a machine that misses one does not make a dent in the farm's total."""
YOUNG_WINDOW: Final = timedelta(minutes=10)
YOUNG_STEP: Final = timedelta(seconds=10)
"""A farm that began a moment ago gets a finer, shorter chart instead of two lonely dots."""

_ENOUGH: Final = 6  # points


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Lines between `start` and `end`, each in time's order."""

    start: datetime
    end: datetime
    hashrate_ths: Points
    power_w: Points
    chip_temp_c: Points
    machines: Mapping[MachineId, Points]  # hashrate of each

    @property
    def span(self) -> timedelta:
        return self.end - self.start


async def charts(
    store: Store, account: AccountId, machines: Sequence[MachineId], *, until: datetime | None, now: datetime
) -> Charts:
    """Read the lines up to `until`, the newest time that every live machine has reported.

    After it a total would miss the machines whose reading is still on its way, and dive at its end.
    """
    end = min(until, now) if until else now
    for window, step in ((WINDOW, STEP), (YOUNG_WINDOW, YOUNG_STEP)):
        question = _Question(store, account, end - window, end, step)
        hashrate = await question.total("hashrate_ths", "sum")
        if len(hashrate) >= _ENOUGH:
            break
    start = max(question.start, hashrate[0][0]) if hashrate else question.start
    return Charts(
        start=start,
        end=end,
        hashrate_ths=hashrate,
        power_w=await question.total("power_w", "sum"),
        chip_temp_c=await question.total("chip_temp_c", "max"),
        machines=await question.each("hashrate_ths", machines),
    )


def complete_until(times: Iterable[datetime], *, fresh_since: datetime) -> datetime | None:
    """The newest time that all machines have reported which report at all."""
    return min((time for time in times if time >= fresh_since), default=None)


@dataclass(frozen=True, slots=True)
class _Question:
    store: Store
    account: AccountId
    start: datetime
    end: datetime
    step: timedelta

    async def total(self, metric: str, across: Aggregate) -> Points:
        query = SeriesQuery(metric=metric, start=self.start, end=self.after_end, step=self.step, across=across)
        answer = await self.store.series(self.account, query)
        return answer[0].points if answer else ()

    async def each(self, metric: str, machines: Sequence[MachineId]) -> Mapping[MachineId, Points]:
        if not machines:
            return {}
        query = SeriesQuery(
            metric=metric, start=self.start, end=self.after_end, step=self.step, machines=tuple(machines)
        )
        return {
            series.machine: series.points
            for series in await self.store.series(self.account, query)
            if series.machine is not None
        }

    @property
    def after_end(self) -> datetime:
        """Ends are excluded by the store; the last complete poll is wanted."""
        return self.end + timedelta(microseconds=1)
