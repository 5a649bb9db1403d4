"""What becomes of a reading: its names are noted at the site, its numbers go on under pseudonyms."""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime

import structlog

from agent.aggregate import Aggregator
from agent.batcher import Batcher
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.known import KnownMachines
from agent.lan.desk import Desk
from agent.lan.meters import Meters
from agent.pools import PublicPools
from agent.privacy import Privacy
from agent.pseudonym import pseudonymize
from agent.reading import Facts, RawReading
from agent.vault import Vault

log = structlog.get_logger()


class Intake:
    """Takes what the poller and the scan found. Nothing here waits."""

    def __init__(
        self,
        keyring: Keyring,
        known: KnownMachines,
        vault: Vault,
        desk: Desk,
        meters: Meters,
        privacy: Privacy,
        batcher: Batcher,
        aggregator: Aggregator,
        pools: PublicPools,
        clock: Callable[[], datetime],
        vanished: Callable[[str], None],
    ) -> None:
        """`vanished` is told the address of a machine that answered before and does not now."""
        self._keyring = keyring
        self._known = known
        self._vault = vault
        self._desk = desk
        self._meters = meters
        self._privacy = privacy
        self._batcher = batcher
        self._aggregator = aggregator
        self._pools = pools
        self._clock = clock
        self._vanished = vanished
        self._reachable: set[str] = set()
        self._last_round_at: datetime | None = None

    @property
    def reachable(self) -> int:
        """Machines that answered when they were asked last."""
        return len(self._reachable)

    @property
    def last_round_at(self) -> datetime | None:
        """When a machine was asked last."""
        return self._last_round_at

    def go_by(self, pools: PublicPools) -> None:
        """Tell public and expected pools by these from now on."""
        self._pools = pools

    def keep(self, addresses: Container[str]) -> None:
        """Machines elsewhere are asked no more."""
        self._reachable = {address for address in self._reachable if address in addresses}

    def take(self, raw: RawReading) -> None:
        """One reading from the poller."""
        self._last_round_at = max(raw.time, self._last_round_at or raw.time)
        if raw.live is not None:
            self._reachable.add(raw.facts.address)
            self.see(raw.facts)
        elif raw.facts.address in self._reachable:
            self._reachable.discard(raw.facts.address)
            self._vanished(raw.facts.address)
        try:
            self._vault.remember(raw, self._pools)
            tells_pools = raw.live is not None and raw.live.pools is not None
            last_pools = () if tells_pools else self._vault.last_pools(self.name_of(raw.facts))
            reading = pseudonymize(raw, self._keyring, self._pools, last_pools)
            (self._aggregator if self._privacy.is_totals_only else self._batcher).add(reading)
            self._desk.note(raw, reading)
            self._meters.took(raw.read_ms)
        except Exception:  # a fault in our own code that one machine brings out must not silence all the others
            log.exception("reading.lost", machine=self.name_of(raw.facts))

    def see(self, facts: Facts) -> None:
        """A machine answered."""
        before = self._known.seen(facts)
        if before is not None and before != facts and identity(before) != identity(facts):
            log.warning("machine.replaced", machine=self.name_of(facts), before=self.name_of(before))

    def pass_totals_on(self) -> None:
        """Hand over the totals of the rounds that are past, where only totals leave."""
        for total in self._aggregator.over(self._clock()):
            self._batcher.add(total)

    def name_of(self, facts: Facts) -> str:
        """The machine's pseudonym."""
        return self._keyring.pseudonym(Kind.MACHINE, identity(facts))
