"""What other processes do to an account: seen before anything is answered from what this one remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from backend.ids import AccountId
from backend.store.influx.batches import Batches, Touch
from backend.store.influx.times import microseconds

MARGIN_US: Final = 600_000_000
"""How much two processes' clocks may differ, and a touch be late."""
_MOST: Final = 20_000


@dataclass(slots=True)
class _Looked:
    at_us: int
    seen: set[tuple[int, str]] = field(default_factory=set)


class Watch:
    """`on_touch` is called for each touch of another process, and once with None when nothing may be remembered."""

    def __init__(
        self,
        batches: Batches,
        clock: Callable[[], datetime],
        on_touch: Callable[[AccountId, Touch | None], None],
    ) -> None:
        self._batches = batches
        self._clock = clock
        self._on_touch = on_touch
        self._looked: dict[AccountId, _Looked] = {}

    async def look(self, account: AccountId) -> None:
        """Afterwards, what is remembered of the account is what every process had written before."""
        now_us = microseconds(self._clock())
        before = self._looked.get(account)
        since_us = (now_us if before is None else min(before.at_us, now_us)) - MARGIN_US
        touches = await self._batches.touches(account, since_us)
        foreign = {(touch.at_us, touch.writer): touch for touch in touches if touch.writer != self._batches.writer}
        if before is None:
            self._on_touch(account, None)
        else:
            for key in foreign.keys() - before.seen:
                self._on_touch(account, foreign[key])
        if len(self._looked) >= _MOST:
            self._looked.clear()
        self._looked[account] = _Looked(now_us, set(foreign))
