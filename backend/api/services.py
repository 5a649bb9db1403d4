"""What the handlers work with; put together once, by `backend.app`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.wire import Batch
from backend.api.meters import Meters
from backend.config import BackendSettings
from backend.ids import AccountId, SiteId
from backend.registry.database import Database
from backend.store.protocol import Store

Clock = Callable[[], datetime]
"""Now, aware and UTC."""


class Judge(Protocol):
    """Whoever looks at each stored batch for trouble."""

    async def judge(self, account: AccountId, site: SiteId, batch: Batch, *, now: datetime) -> object:
        """Judge a batch; a batch that comes again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that is shared between requests."""

    settings: BackendSettings
    database: Database
    store: Store
    judge: Judge
    meters: Meters
    clock: Clock
