"""What the handlers work with; put together once, by `backend.app`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agent.wire import Batch
from backend.accounts.logins import Logins
from backend.accounts.passwords import Passwords
from backend.accounts.sessions import Sessions
from backend.api.meters import Meters
from backend.config import BackendSettings
from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.privacy.exports import Exports
from backend.registry.database import Database
from backend.store.protocol import Store
from backend.warnings.actions import Actions
from backend.warnings.catalogue import Catalogue

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
    public_url: str = ""  # as members reach the service: for links in letters
    wake: Callable[[], None] = lambda: None  # there is something in the outbox
    passwords: Passwords = field(init=False, default_factory=Passwords)
    sessions: Sessions = field(init=False)
    logins: Logins = field(init=False)
    exports: Exports = field(init=False)
    actions: Actions = field(init=False)

    def __post_init__(self) -> None:
        actions = Actions(self.database, Catalogue.load(), Outbox(self.settings.notify), self.settings.rules)
        object.__setattr__(self, "actions", actions)
        sessions = Sessions(self.database, self.settings.accounts)
        object.__setattr__(self, "sessions", sessions)  # frozen for everybody else
        object.__setattr__(self, "logins", Logins(self.database, self.passwords, sessions))
        exports = Exports(self.database, self.store, self.settings.exports_dir)
        object.__setattr__(self, "exports", exports)
