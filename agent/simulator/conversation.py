"""One connection to one machine: reads requests, answers them as far as the machine's faults allow.

No task per connection or machine: everything happens in the event loop's call-backs, so that one process
on one core answers for ten thousand machines.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol, cast

from agent.simulator.delivery import Answer, Delivery, deliver
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine

MAX_REQUEST_BYTES: Final = 1_000_000
"""More than that unanswered on one connection ends it."""
_SILENT_AFTER_END_S: Final = 60.0


class House(Protocol):
    """Who knows which machine lives at an address, and keeps the open connections."""

    clock: Callable[[], datetime]

    def machine_at(self, address: str) -> Machine | None: ...

    def opened(self, machine: Machine, transport: asyncio.Transport) -> None: ...

    def closed(self, machine: Machine, transport: asyncio.Transport) -> None: ...


class Conversation(asyncio.Protocol):
    """What the three protocols share. A subclass takes requests out of `received` and makes answers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._machine: Machine | None = None
        self._delivery: Delivery | None = None
        self._later: asyncio.Handle | None = None
        self._is_full = False  # the other side reads slower than we write
        self.received = bytearray()
        self.is_ended = False  # the other side will send no more

    def next_answer(self, machine: Machine, now: datetime) -> Answer | None:
        """Take one request out of `received` and answer it; None when no whole request is there."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        machine = self._house.machine_at(transport.get_extra_info("sockname")[0])
        if machine is None or machine.faults.is_off(self._house.clock()):
            # Only with shared ports: nobody listens here, so the caller gets a reset and no orderly end.
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
            return
        self._machine = machine
        self._house.opened(machine, self._transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) > MAX_REQUEST_BYTES:
            self._transport.abort()
        self._go_on()

    def eof_received(self) -> bool:
        self.is_ended = True
        self._go_on()
        if self._is_silent():
            # Nobody would tell us that the other side is gone: nothing is read any more and nothing is written.
            self._later = asyncio.get_running_loop().call_later(_SILENT_AFTER_END_S, self._transport.abort)
            return True
        return self._delivery is not None

    def connection_lost(self, error: Exception | None) -> None:
        if self._later is not None:
            self._later.cancel()
        self._delivery = None
        if self._machine is not None:
            self._house.closed(self._machine, self._transport)
            self._machine = None

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._go_on()

    def _is_silent(self) -> bool:
        machine, now = self._machine, self._house.clock()
        return machine is not None and machine.faults.on_the_wire(now) is Fault.NEVER_ANSWERS

    def _go_on(self) -> None:
        """Write what there is to write, then look for the next request, until one of them has to wait."""
        while self._machine is not None and not self._transport.is_closing() and not self._is_full:
            if self._delivery is not None:
                if self._write_one():
                    return
                continue
            now = self._house.clock()
            answer = self.next_answer(self._machine, now)
            if answer is None:
                if self.is_ended and not self._is_silent():
                    self._transport.close()
                return
            self._delivery = deliver(answer, self._machine.faults.on_the_wire(now))

    def _write_one(self) -> bool:
        """Write the next chunk; True when the one after it has to wait."""
        assert self._delivery is not None
        if self._later is not None:
            return True
        chunk = next(self._delivery.chunks, None)
        if chunk is None:
            closes, self._delivery = self._delivery.closes, None
            if closes:
                self._transport.close()
            return closes
        self._transport.write(chunk)
        if self._delivery.pause_s:
            self._later = asyncio.get_running_loop().call_later(self._delivery.pause_s, self._after_pause)
            return True
        return False

    def _after_pause(self) -> None:
        self._later = None
        self._go_on()
