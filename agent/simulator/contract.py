"""Where a simulated machine mines, and for whom: public and private pools, accounts, wallets.

A farm is realistic in what it shares: its machines mine for three accounts on a few pools of which some are
its own; every eighth machine mines to a wallet. Seeds with the same hundred thousands are one farm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.simulator.identity import Identity, tag
from agent.simulator.names import is_public_pool

PUBLIC: Final = (
    "stratum.braiins.com:3333",
    "ss.antpool.com:3333",
    "btc.f2pool.com:1314",
    "btc.viabtc.io:3333",
)
SEEDS_OF_A_FARM: Final = 100_000
_ACCOUNTS = 3


@dataclass(frozen=True, slots=True)
class Pool:
    """One entry of a machine's pool list."""

    host: str
    port: int
    user: str  # account.worker, or wallet.worker

    @property
    def url(self) -> str:
        return f"stratum+tcp://{self.host}:{self.port}"

    @property
    def names(self) -> tuple[str, ...]:
        """What of it must not leave the site."""
        private = () if is_public_pool(self.host) else (self.host, self.url)
        account, _, _ = self.user.rpartition(".")
        return (*private, self.user, account)


@dataclass(frozen=True, slots=True)
class Contract:
    """The pools that a machine is set to, and those of the stranger that a pool change points it to."""

    own: tuple[Pool, Pool, Pool]
    stranger: Pool

    @classmethod
    def of(cls, identity: Identity) -> Contract:
        seed = identity.seed
        farm = seed // SEEDS_OF_A_FARM
        account = f"acc{tag(farm, f'account {seed % _ACCOUNTS}', 9)}"
        if seed % 8 == 7:
            account = f"bc1q{tag(seed, 'wallet', 20)}{tag(seed, 'wallet end', 18)}"
        user = f"{account}.{identity.worker}"
        own_pool = f"pool-{tag(farm, 'pool', 8)}.mine.example:3333"
        spare_pool = f"pool-{tag(farm, 'spare pool', 8)}.mine.example:3334"
        public = PUBLIC[seed % len(PUBLIC)]
        hosts = (own_pool, public, spare_pool) if seed % 4 == 3 else (public, own_pool, spare_pool)
        first, second, third = (_pool(host, user) for host in hosts)
        thief = f"thief{tag(seed, 'thief', 8)}"
        return cls((first, second, third), _pool(f"pool-{tag(seed, 'stranger', 8)}.thief.example:3333", f"{thief}.x"))

    @property
    def names(self) -> tuple[str, ...]:
        """Every string of it that must not leave the site, each once."""
        return tuple(dict.fromkeys(name for pool in (*self.own, self.stranger) for name in pool.names))


def _pool(host: str, user: str) -> Pool:
    name, _, port = host.partition(":")
    return Pool(name, int(port), user)
