"""Energy: each reading's power over the time since the machine's reading before it, in the reading's step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.store.influx.client import Client
from backend.store.influx.plan import Data, Run, coarsest, runs
from backend.store.influx.queries import Column, Select, Tags
from backend.store.influx.rollup import ENERGY, GAP_US, Step, energy_mwh, spans_us
from backend.store.influx.times import moment
from backend.store.protocol import Energy, EnergyBy, Points

_MWH_IN_KWH: Final = 1_000_000

Spent = defaultdict[str | None, defaultdict[int, float]]
"""Milliwatt-hours by machine or site (None: all of them) and step."""


@dataclass(frozen=True, slots=True)
class EnergyQuestion:
    """What machines took from `start_us` (on the grid) to `end_us`."""

    client: Client
    account: AccountId
    start_us: int
    end_us: int
    step_us: int
    site: SiteId | None
    by: EnergyBy
    data: Data

    async def answer(self) -> list[Energy]:
        """Ordered by machine or site; or of all machines together."""
        spent: Spent = defaultdict(lambda: defaultdict(float))
        for run in self._runs():
            if run.start_us < run.end_us:
                await (self._add_points(run, spent) if run.is_of_points else self._add_rollups(run, spent))
        return [
            self._energy(whose, tuple((moment(step), of_steps[step] / _MWH_IN_KWH) for step in sorted(of_steps)))
            for whose, of_steps in sorted(spent.items(), key=lambda item: item[0] or "")
        ]

    def _energy(self, whose: str | None, points: Points) -> Energy:
        if whose is None:
            return Energy(points)
        return Energy(points, site=SiteId(whose)) if self.by == "site" else Energy(points, machine=MachineId(whose))

    def _grain(self) -> Step | None:
        return coarsest(self.step_us)

    def _runs(self) -> Iterator[Run]:
        if self._grain() is None:
            yield Run(True, max(self.start_us, self.data.raw_from_us), self.end_us)
            return
        for run in runs(self.start_us, self.end_us, self.step_us, self.data):
            from_us = self.data.raw_from_us if run.is_of_points else self.data.rolled_from_us
            yield Run(run.is_of_points, max(run.start_us, from_us), run.end_us)

    def _add(self, spent: Spent, machine: str, site: str, time_us: int, milliwatt_hours: float) -> None:
        whose = {"machine": machine, "site": site, "all": None}[self.by]
        spent[whose][time_us // self.step_us * self.step_us] += milliwatt_hours

    async def _add_points(self, run: Run, spent: Spent) -> None:
        question = Select(
            account=self.account,
            measurement="machine",
            columns=(Column("is_reachable"), Column("power_w")),  # the first is in every point
            start_us=max(run.start_us - GAP_US, self.data.raw_from_us),
            end_us=run.end_us,
            by=("machine", "site"),
        )
        rows: defaultdict[str, dict[int, tuple[str, float | None]]] = defaultdict(dict)
        for bucket in reversed(self.data.raw):
            (tables,) = await self.client.select(bucket, question)
            for table in tables:
                machine, site = table.tags["machine"], table.tags["site"]
                rows[machine].update((time_us, (site, power)) for time_us, _, power in table.rows)
        for machine, of_times in rows.items():
            times_us = np.array(sorted(of_times), dtype=np.int64)
            power = np.array([of_times[time_us][1] for time_us in times_us.tolist()], dtype=np.float64)
            energy = energy_mwh(power, spans_us(times_us, times_us))
            for time_us, milliwatt_hours in zip(times_us.tolist(), energy.tolist(), strict=True):
                site = of_times[time_us][0]
                is_here = self.site in (None, site)
                if time_us >= run.start_us and is_here and not np.isnan(milliwatt_hours):
                    self._add(spent, machine, site, time_us, milliwatt_hours)

    async def _add_rollups(self, run: Run, spent: Spent) -> None:
        grain = self._grain()
        assert grain is not None, "runs of rollups are where a grain fits"
        question = Select(
            account=self.account,
            measurement="rollup",
            columns=(Column(ENERGY),),
            start_us=run.start_us,
            end_us=run.end_us,
            tags=Tags.where(site=self.site),
            by=("machine", "site"),
        )
        rows: dict[tuple[str, str, int], float] = {}
        for bucket in reversed(self.data.rolled[grain]):
            (tables,) = await self.client.select(bucket, question)
            for table in tables:
                machine, site = table.tags["machine"], table.tags["site"]
                rows.update(((machine, site, time_us), energy) for time_us, energy in table.rows)
        for (machine, site, time_us), milliwatt_hours in rows.items():
            self._add(spent, machine, site, time_us, milliwatt_hours)
