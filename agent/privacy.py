"""What may leave this site at all: readings of single machines, or totals alone.

The people at the site choose by `[privacy] mode`; the backend may demand totals (a region whose people did not
consent), and then a file in the state folder says so until the site is enrolled anew. Nothing makes it more than both
allow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import structlog

from agent import durable
from agent.errors import DiskTrouble

Mode = Literal["readings", "aggregate"]

log = structlog.get_logger()


class Privacy:
    """Asked before each request and at each reading; may be called from any thread."""

    def __init__(self, mode: Mode, demand: Path | None) -> None:
        self._is_chosen = mode == "aggregate"
        self._file = demand
        self._is_demanded = demand is not None and demand.exists()

    @classmethod
    def open_mind(cls) -> Self:
        """Readings, unless and until the backend wants none."""
        return cls("readings", None)

    @property
    def is_totals_only(self) -> bool:
        """Whether readings of single machines stay at the site."""
        return self._is_chosen or self._is_demanded

    @property
    def why(self) -> str:
        """For the status; empty while readings may leave."""
        if self._is_chosen:
            return "only totals leave this site, by its own settings"
        return "only totals leave this site, as the backend demands" if self._is_demanded else ""

    def demand_totals(self) -> None:
        """The backend wants totals alone. In effect at once; a disk that takes no file makes it no less so."""
        if self._is_demanded:
            return
        self._is_demanded = True
        log.warning("privacy.totals_demanded", hint="readings that wait stay at the site; totals are sent from now on")
        if self._file is None:
            return
        try:
            durable.write(self._file, b"The backend takes totals only. Enrol the site anew to have it asked again.\n")
        except DiskTrouble as error:
            log.error("privacy.demand_not_kept", why=str(error), hint="after a restart the backend says it again")
