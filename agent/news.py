"""Which of the waiting batches are news, and which of the others are small enough to be joined into larger ones.

A batch that was handed out is never joined: the backend may have it already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FRESH_S: Final = 120.0
"""So long a batch is news: two rounds of the usual interval, so that each machine is in it."""
_JOINED_READINGS: Final = 1_000


class News:
    """Sequence numbers, in the order in which they came."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """`clock_s` gives seconds that nobody sets."""
        self._clock_s = clock_s
        self._fresh: dict[int, tuple[float, int]] = {}  # when they came, and their readings if they may be joined
        self._loose: dict[int, int] = {}  # no news any more, to be joined: their readings

    def came(self, sequence: int, readings: int) -> None:
        """A batch was spooled; `readings` is 0 when it cannot be joined."""
        self._fresh[sequence] = (self._clock_s(), readings)

    def first(self) -> int | None:
        """The oldest that was news still when `to_join` was asked last."""
        return next(iter(self._fresh), None)

    def handed_out(self, sequence: int) -> None:
        """It is never joined from now on."""
        self._loose.pop(sequence, None)
        if sequence in self._fresh:
            self._fresh[sequence] = (self._fresh[sequence][0], 0)

    def forget(self, sequence: int) -> None:
        """It is gone."""
        self._loose.pop(sequence, None)
        self._fresh.pop(sequence, None)

    def to_join(self) -> list[int]:
        """Batches to be made one of, oldest first; empty when there are none (yet). Ask until it is empty."""
        while self._fresh:
            sequence, (came_s, readings) = next(iter(self._fresh.items()))
            if self._clock_s() - came_s <= _FRESH_S:
                break
            del self._fresh[sequence]
            if 0 < readings < _JOINED_READINGS:
                self._loose[sequence] = readings
                if sum(self._loose.values()) >= _JOINED_READINGS:
                    group, self._loose = list(self._loose), {}
                    return group
        return []
