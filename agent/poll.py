"""Rounds: each machine is asked once in an interval, and each interval yields a reading of each machine.

- A reading's time is on the grid of the interval, so that the series of a site line up. Each machine is asked at
  its own place within the interval, always the same: nothing starts all at once.
- At most `concurrency` machines are read at a time, each within the deadline; a machine that takes long holds one
  place and nobody else. Machines that failed are read in places of their own.
- A machine that failed is knocked at first, outside those places; one that does not answer costs no more than
  that and is unreachable in that interval. It is read in the first interval in which it answers again. One that
  answers and then eats up the deadline is read after ever longer times, up to 5 minutes.
- A machine is never asked twice at a time, and each turn is over before the next. A machine that found no place in
  its turn has no reading in that interval: we were late, it was not unreachable.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import structlog

from agent import allocator
from agent.drivers import kept
from agent.drivers.protocol import Miner
from agent.errors import AgentError, TooMuch
from agent.identity import canonical_mac
from agent.places import NoPlace, Places, affordable, place
from agent.probe import speaks
from agent.reading import Facts, Live, RawReading

_KNOCK_S: Final = 2.0
_TIDY_EVERY_S: Final = 5.0
_GIVE_BACK_EVERY: Final = 12
_KEPT_LONGER_S: Final = 2.0
"""Than any read may take."""
_TICK_S: Final = 0.001
"""Of uvloop's clock; a turn that is due within it would be waited for in a tight loop."""
_BACKOFF_MAX_S: Final = 300.0
_REFRESH_S: Final = 86_400.0
_REFRESH_AGAIN_S: Final = 3_600.0
_KNOCK_SHARE: Final = 0.25
_TURN_SHARE: Final = 0.8
"""Of the interval, for all that is done with a machine: a turn that fails is over before the next begins."""

log = structlog.get_logger()


@dataclass(slots=True)
class Counts:
    """What happened since the start."""

    readings: int = 0
    failures: int = 0  # of them, without an answer
    late: int = 0  # turns without a reading, because there was no place for them


@dataclass(slots=True, eq=False)
class _Entry:
    miner: Miner
    phase_s: float
    refresh_at_s: float  # by the loop's clock, as the next
    not_before_s: float = 0.0
    failures: int = 0  # in a row
    is_busy: bool = False
    is_removed: bool = False


class Poller:
    """Asks the machines that it is given until it is cancelled.

    `sink` is called with each reading, in the loop's thread; it must not block. `clock` gives the time of day,
    UTC. `name_of` is what a machine is called in logs: its pseudonym.
    """

    def __init__(
        self,
        sink: Callable[[RawReading], None],
        *,
        clock: Callable[[], datetime],
        interval_s: float = 60.0,
        deadline_s: float = 10.0,
        concurrency: int = 200,
        name_of: Callable[[Facts], str] = lambda facts: "",
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._needs_s = min(deadline_s, _TURN_SHARE * interval_s / 2)  # a read that begins with less is not fair
        self._knock_s = min(_KNOCK_S, _KNOCK_SHARE * interval_s)
        self._concurrency = concurrency
        self._name_of = name_of
        self._entries: dict[str, _Entry] = {}  # by address
        self._address_of: dict[str, str] = {}  # by MAC
        self._turns: list[
            tuple[float, int, _Entry]
        ] = []  # a heap: when, by the loop's clock; to tell them apart; whose
        self._numbers = itertools.count()
        self._stirred = asyncio.Event()
        self.counts = Counts()

    @property
    def miners(self) -> Mapping[str, Miner]:
        """By address."""
        return MappingProxyType({address: entry.miner for address, entry in self._entries.items()})

    @property
    def down(self) -> frozenset[str]:
        """The addresses of machines that did not answer when they were last asked."""
        return frozenset(address for address, entry in self._entries.items() if entry.failures)

    def add(self, miner: Miner) -> None:
        """Ask this machine from now on, in place of one at the same address or with the same MAC: it moved."""
        facts = miner.facts
        mac = None if facts.shares_mac else canonical_mac(facts.mac)
        self.remove(facts.address)
        if mac is not None:
            before = self._entries.get(self._address_of.get(mac, ""))
            if before is not None and canonical_mac(before.miner.facts.mac) == mac:
                self.remove(before.miner.facts.address)
            self._address_of[mac] = facts.address
        share = _share(facts.address)
        now_s = asyncio.get_running_loop().time()
        entry = _Entry(miner, share * self._interval_s, refresh_at_s=now_s + _REFRESH_S * (0.5 + share / 2))
        self._entries[facts.address] = entry
        time_s = self._clock().timestamp()
        self._schedule(entry, time_s + (entry.phase_s - time_s) % self._interval_s)
        self._stirred.set()

    def holder(self, mac: str) -> Facts | None:
        """The machine that is asked under a canonical MAC."""
        entry = self._entries.get(self._address_of.get(mac, ""))
        return entry.miner.facts if entry and canonical_mac(entry.miner.facts.mac) == mac else None

    def remove(self, address: str) -> None:
        """Ask no more at this address; a turn that has begun gives no reading."""
        entry = self._entries.pop(address, None)
        if entry is None:
            return
        entry.is_removed = True
        mac = canonical_mac(entry.miner.facts.mac)
        if mac is not None and self._address_of.get(mac) == address:
            del self._address_of[mac]

    async def run(self) -> None:
        """Ask until cancelled. Raises what `sink` raises."""
        places = Places(affordable(self._concurrency))
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tidy(), name="tidy")
            while True:
                self._stirred.clear()
                while self._turns and self._turns[0][0] <= loop.time():
                    _, _, entry = heapq.heappop(self._turns)
                    if not entry.is_removed:
                        self._begin(entry, places, group)
                await self._until_stirred(self._turns[0][0] if self._turns else None)

    async def _tidy(self) -> None:
        """Close what libraries keep open between two reads, and let go of what reads needed while they lasted."""
        for turn in itertools.count(1):
            await asyncio.sleep(_TIDY_EVERY_S)
            await asyncio.to_thread(kept.close_idle, self._entries, self._deadline_s + _KEPT_LONGER_S)
            if turn % _GIVE_BACK_EVERY == 0:
                await asyncio.to_thread(allocator.give_back)

    async def _until_stirred(self, due_s: float | None) -> None:
        if due_s is not None:
            due_s = max(due_s, asyncio.get_running_loop().time() + _TICK_S)
        try:
            async with asyncio.timeout_at(due_s):
                await self._stirred.wait()
        except TimeoutError:
            pass

    def _grid_s(self, entry: _Entry) -> float:
        """The grid's time, in seconds of the epoch, that is nearest to the machine's place in the interval."""
        since = self._clock().timestamp() - entry.phase_s
        return round(since / self._interval_s) * self._interval_s

    def _schedule(self, entry: _Entry, due_s: float) -> None:
        """Set the machine's next turn, given as the time of day: a clock that is set is followed within an interval."""
        wait_s = due_s - self._clock().timestamp()
        at_s = asyncio.get_running_loop().time() + wait_s
        heapq.heappush(self._turns, (at_s, next(self._numbers), entry))

    def _begin(self, entry: _Entry, places: Places, group: asyncio.TaskGroup) -> None:
        grid_s = self._grid_s(entry)
        self._schedule(entry, grid_s + self._interval_s + entry.phase_s)
        if entry.is_busy:
            self.counts.late += 1
            return
        entry.is_busy = True
        group.create_task(self._turn(entry, datetime.fromtimestamp(grid_s, UTC), places), name="poll")

    async def _turn(self, entry: _Entry, time: datetime, places: Places) -> None:
        ends_s = asyncio.get_running_loop().time() + _TURN_SHARE * self._interval_s
        try:
            live, read_ms = await self._look(entry, places, ends_s)
        except NoPlace:
            self.counts.late += 1
            return
        finally:
            entry.is_busy = False
        if entry.is_removed:
            return
        self.counts.readings += 1
        self.counts.failures += live is None
        self._sink(RawReading(time=time, facts=entry.miner.facts, live=live, read_ms=read_ms))

    async def _look(self, entry: _Entry, places: Places, ends_s: float) -> tuple[Live | None, float | None]:
        """Read a machine in the place that it belongs to; None and None when it does not answer."""
        if entry.failures or places.usual.locked():
            async with place(places.knocks, ends_s - self._needs_s):
                answers = await speaks(entry.miner.facts.address, self._knock_s)
            if not answers:
                self._failed(entry, "no answer")
                entry.not_before_s = 0.0  # as soon as it speaks again it is read
                return None, None
        if not entry.failures:
            async with place(places.usual, ends_s - self._needs_s):
                return await self._read(entry, ends_s)
        if places.doubtful.locked() or asyncio.get_running_loop().time() < entry.not_before_s:
            entry.failures += 1
            return None, None
        async with places.doubtful:
            return await self._read(entry, ends_s)

    async def _read(self, entry: _Entry, ends_s: float) -> tuple[Live | None, float | None]:
        loop = asyncio.get_running_loop()
        began_s, is_costly = loop.time(), False
        try:
            async with asyncio.timeout_at(min(began_s + self._deadline_s, ends_s)):
                live = await entry.miner.read()
        except TimeoutError:
            self._failed(entry, "deadline")
        except TooMuch as error:
            self._failed(entry, str(error))
            is_costly = True
        except AgentError as error:
            self._failed(entry, str(error))
        except Exception as error:  # noqa: BLE001  a driver's fault with one machine must not end the others' rounds
            self._failed(entry, f"{type(error).__name__} in the driver")
        else:
            read_ms = 1_000 * (loop.time() - began_s)
            await self._answered(entry, ends_s)
            return live, read_ms
        if is_costly or loop.time() - began_s > self._knock_s:
            share = entry.phase_s / self._interval_s
            entry.not_before_s = loop.time() + backoff_s(entry.failures, self._interval_s, share)
        return None, None

    def _failed(self, entry: _Entry, reason: str) -> None:
        entry.failures += 1
        if entry.failures == 1:
            log.info("miner.lost", machine=self._name_of(entry.miner.facts), reason=reason)

    async def _answered(self, entry: _Entry, ends_s: float) -> None:
        """Read its facts again when they are a day old, and when it was away: it may be another machine now."""
        now_s = asyncio.get_running_loop().time()
        if entry.failures:
            log.info("miner.back", machine=self._name_of(entry.miner.facts), missed=entry.failures)
        elif now_s < entry.refresh_at_s:
            return
        entry.failures, entry.not_before_s = 0, 0.0
        entry.refresh_at_s = now_s + _REFRESH_AGAIN_S
        try:
            async with asyncio.timeout_at(min(now_s + self._deadline_s, ends_s)):
                await entry.miner.refresh()
        except (AgentError, TimeoutError):
            return
        entry.refresh_at_s = now_s + _REFRESH_S


def backoff_s(failures: int, interval_s: float, share: float) -> float:
    """How long a machine that ate up the deadline so often in a row is not read: up to 5 minutes, and up to a fifth
    less by its share of the interval, so that those that failed together are not read together."""
    return min(_BACKOFF_MAX_S, interval_s * 2.0 ** min(failures - 1, 16)) * (0.8 + 0.2 * share)


def _share(address: str) -> float:
    """A machine's place in the interval, 0 to 1: always the same, and even over many machines."""
    return int.from_bytes(hashlib.blake2b(address.encode(), digest_size=8).digest()) / 2**64
