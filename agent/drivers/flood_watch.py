"""Sees that a machine floods asic-rs, whose interface does not tell how much has come: from below, and in two steps.

Every 25 ms, for microseconds: did this process grow by more, and faster, than it does of itself? Only then, for
milliseconds: over which connections did more than a megabyte come since they were last noted, seconds ago?
"""

from __future__ import annotations

import asyncio
import mmap
import os
from pathlib import Path
from typing import Final

import structlog

from agent.drivers.connections import connections
from agent.drivers.floods import Floods
from agent.drivers.rpc import MOST_BYTES

_MEMORY: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = mmap.PAGESIZE
_TICK_S: Final = 0.025
_ALARM_BYTES: Final = 8 << 20
_USUAL_GROWTH: Final = 4 << 20
"""Bytes a second: as much as the first look at ten thousand machines takes. A flood that is no faster has not taken
more than an alarm does when its deadline ends it."""
_NOTE_EVERY_S: Final = 5.0
_PAUSE: Final = 9
"""Times as long as a look at the connections took, before the next: an alarm costs a tenth of a core at most."""

log = structlog.get_logger()


async def watch(floods: Floods) -> None:
    """Tell `floods` of machines that flood, until cancelled; over at once where the system does not tell our memory."""
    if not _MEMORY.exists():
        log.warning("flood.unwatched", hint="this system does not tell how much memory we take: a machine may fill it")
        return
    clock = asyncio.get_running_loop().time
    memory, before = _Memory(clock()), await asyncio.to_thread(_received)
    noted_s, look_at_s = clock(), 0.0
    while True:
        await asyncio.sleep(_TICK_S)
        began_s = clock()
        is_to_note = began_s >= noted_s + _NOTE_EVERY_S
        is_alarm = memory.above_usual(began_s) > _ALARM_BYTES and began_s >= look_at_s
        if is_alarm or is_to_note:
            received = await asyncio.to_thread(_received)
            for (inode, address), count in received.items():
                if count - before.get((inode, address), 0) > MOST_BYTES:
                    floods.seen(address)
            look_at_s = clock() + _PAUSE * (clock() - began_s)
            if is_to_note:
                before, noted_s = received, began_s


def _received() -> dict[tuple[int, str], int]:
    """By connection and the address of its other side: the bytes that came over it."""
    return {(each.inode, each.address): each.received_bytes for each in connections()}


class _Memory:
    """How much this process takes, beside what it usually does: that may grow slowly, and falls with it at once."""

    def __init__(self, now_s: float) -> None:
        self._usual_bytes = resident_bytes()
        self._at_s = now_s

    def above_usual(self, now_s: float) -> float:
        """In bytes."""
        resident = resident_bytes()
        self._usual_bytes = min(resident, self._usual_bytes + _USUAL_GROWTH * (now_s - self._at_s))
        self._at_s = now_s
        return resident - self._usual_bytes


def resident_bytes() -> float:
    """The memory that this process takes now."""
    file = os.open(_MEMORY, os.O_RDONLY)  # without what `Path` does beside it: this is done 40 times a second
    try:
        return float(os.read(file, 128).split()[1]) * _PAGE_BYTES
    finally:
        os.close(file)
