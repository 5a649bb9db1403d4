"""What our own code costs on top of the library: a poll's data understood, normalised, pseudonymised, gathered into a
batch and spooled. No socket is touched while it is measured."""

from __future__ import annotations

import contextlib
import gc
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from agent.drivers import own_read
from agent.drivers.answers import Answers, understand
from agent.drivers.asic_rs import _LIVE, AsicRs, AsicRsMiner, _all_but
from agent.drivers.floods import Floods
from agent.drivers.logins import Logins
from agent.errors import MinerUnreachable
from agent.keyring import Keyring
from agent.known import KnownMachines
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import Live, RawReading
from agent.spool import Spool
from agent.vault import Vault
from agent.wire import Batch, Reading

_BATCH: Final = 500
_INTERVAL_S: Final = 60


@dataclass(frozen=True)
class Poll:
    """What the library and our own read gave for one poll of a machine, not understood yet."""

    miner: AsicRsMiner
    data: Any
    answers: Answers

    def understood(self) -> Live:
        """As `AsicRsMiner.read` does it."""
        return own_read.complete(self.miner._understand(self.data), understand(self.answers, self.miner.facts.make))


async def polls(addresses: list[str]) -> list[Poll]:
    """One poll of each machine."""
    driver = AsicRs(Logins(vendor_passwords=True), Floods())
    found = []
    for address in addresses:
        miner = await driver.find(address)
        assert miner is not None
        answers: dict[str, Any] = {}
        with contextlib.suppress(MinerUnreachable):  # port 4028 is not every machine's
            await miner._own._ask_all(answers)
        found.append(Poll(miner, await miner._handle.get_data(_all_but(_LIVE)), answers))
    return found


def cpu_ms(found: list[Poll], rounds: int) -> dict[str, float]:
    """Milliseconds of CPU of one poll, by step; the wait for the disk is not in it."""
    keyring, pools = Keyring.throwaway(), PublicPools()
    spent = dict.fromkeys(("normalise", "pseudonymize", "spool"), 0.0)
    with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "spool", 10**9) as spool:
        vault, known = (
            Vault(Path(folder) / "vault", keyring, _now),
            KnownMachines(Path(folder) / "machines", keyring, _now),
        )
        gathered: list[Reading] = []
        for number in range(-1, rounds):  # the first round fills caches, as the first minute of an agent does
            if number == 0:
                gc.collect()
                gc.freeze()
                spent = dict.fromkeys(spent, 0.0)
            at = _now() + timedelta(seconds=_INTERVAL_S * number)
            began_s = time.process_time()
            lives = [poll.understood() for poll in found]
            spent["normalise"] += (understood_s := time.process_time()) - began_s
            for poll, live in zip(found, lives, strict=True):
                raw = RawReading(time=at, facts=poll.miner.facts, live=live)
                gathered.append(_named(raw, keyring, pools, vault, known))
            spent["pseudonymize"] += (named_s := time.process_time()) - understood_s
            while len(gathered) >= _BATCH or (gathered and number == rounds - 1):
                spool.append(
                    Batch(id=uuid4(), site="sit_bench", agent="0", sent_at=at, readings=tuple(gathered[:_BATCH]))
                )
                del gathered[:_BATCH]
            spent["spool"] += time.process_time() - named_s
    return {step: 1_000 * seconds / (rounds * len(found)) for step, seconds in spent.items()}


def _named(raw: RawReading, keyring: Keyring, pools: PublicPools, vault: Vault, known: KnownMachines) -> Reading:
    """As the agent does with each reading."""
    known.seen(raw.facts)
    vault.remember(raw, pools)
    return pseudonymize(raw, keyring, pools)


def _now() -> datetime:
    return datetime.now(UTC)
