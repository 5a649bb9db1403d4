"""Two machines that claim one MAC: both are kept, each under a name of its own, and somebody is told.

A cloned control board or a firmware image that was copied with its settings makes such twins. A machine that only
moved is none: nobody answers with its MAC where it was before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError
from agent.identity import canonical_mac
from agent.reading import Facts, Live

_LOOK_S: Final = 20.0

log = structlog.get_logger()


class Twin:
    """A machine whose MAC another one claimed first."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner

    @property
    def facts(self) -> Facts:
        return replace(self._miner.facts, shares_mac=True)

    async def read(self) -> Live:
        return await self._miner.read()

    async def refresh(self) -> Facts:
        return replace(await self._miner.refresh(), shares_mac=True)


class HasFacts(Protocol):
    """A machine, or what is remembered of one."""

    @property
    def facts(self) -> Facts: ...


class Roster(Protocol):
    """The machines of a site: those that are asked, or those that were."""

    @property
    def miners(self) -> Mapping[str, HasFacts]:
        """By address."""

    def holder(self, mac: str) -> Facts | None:
        """The machine that goes by a canonical MAC."""


@dataclass
class Remembered:
    """The roster of an agent that does not run: its list of machines, and what is found meanwhile."""

    miners: dict[str, HasFacts] = field(default_factory=dict)
    _holders: dict[str, Facts] = field(default_factory=dict)

    @classmethod
    def of(cls, listed: Iterable[Facts]) -> Remembered:
        made = cls()
        for facts in listed:
            made.add(_Known(facts))
        return made

    def add(self, one: HasFacts) -> None:
        """This machine is there."""
        facts = one.facts
        self.miners[facts.address] = one
        if (mac := canonical_mac(facts.mac)) and not facts.shares_mac:
            self._holders[mac] = facts

    def holder(self, mac: str) -> Facts | None:
        return self._holders.get(mac)


@dataclass(frozen=True)
class _Known:
    facts: Facts


async def told_apart(miner: Miner, roster: Roster, driver: Driver, name_of: Callable[[Facts], str]) -> Miner:
    """The machine that was found, as a `Twin` if one that is asked elsewhere has its MAC and still answers there.

    One that is a twin stays one: its name does not depend on which of the two is found first after a restart.
    """
    facts = miner.facts
    mac = canonical_mac(facts.mac)
    if mac is None or facts.shares_mac:
        return miner
    before = roster.miners.get(facts.address)
    if before is not None and before.facts.shares_mac and canonical_mac(before.facts.mac) == mac:
        return Twin(miner)
    holder = roster.holder(mac)
    if holder is None or holder.address == facts.address or not await _is_still_there(holder, mac, driver):
        return miner
    twin = Twin(miner)
    log.warning("machine.mac_claimed_twice", machine=name_of(holder), other=name_of(twin.facts))
    return twin


async def _is_still_there(holder: Facts, mac: str, driver: Driver) -> bool:
    try:
        async with asyncio.timeout(_LOOK_S):
            found = await driver.find(holder.address)
    except (AgentError, TimeoutError):
        return False
    return found is not None and canonical_mac(found.facts.mac) == mac
