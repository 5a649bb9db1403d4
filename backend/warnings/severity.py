"""How bad a warning is."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """In the order of their rank; `rank` compares them (the names' alphabet would not)."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
