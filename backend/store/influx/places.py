"""Where an account's data is now."""

from __future__ import annotations

from backend.store.influx import tiers
from backend.store.influx.rollup import Step
from backend.store.influx.tiers import GRAINS, Grain, Kept
from backend.store.protocol import DataClass


class Places:
    """Names of buckets, all with one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def to_write(self, grain: Grain, kept: Kept) -> str:
        """Where new data goes."""
        return tiers.bucket(self._prefix, grain, kept.tier_days)

    def to_read(self, grain: Grain, kept: Kept) -> tuple[str, ...]:
        """Where data that can be read may be; the first is written to."""
        return tuple(tiers.bucket(self._prefix, grain, days) for days in kept.tiers_days)

    def rolled(self, kept: Kept) -> dict[Step, tuple[str, ...]]:
        """The same of both rollups."""
        return {"5m": self.to_read("5m", kept), "1h": self.to_read("1h", kept)}

    def held(self, grain: Grain) -> str:
        """Where a hold's data is."""
        return tiers.held_bucket(self._prefix, grain)

    def every(self, data_class: DataClass) -> dict[Grain, tuple[str, ...]]:
        """All buckets that a class can be in, by grain, held ones too."""
        return {
            grain: (*(tiers.bucket(self._prefix, grain, days) for days in tiers.TIERS_DAYS), self.held(grain))
            for grain in GRAINS[data_class]
        }
