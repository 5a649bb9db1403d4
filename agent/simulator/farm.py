"""The farm: which machines there are, and the sockets that answer for them.

Each machine has its own listeners, so that an unreachable one truly refuses connections. Above
`SHARED_ABOVE` machines one wildcard listener per port, bound to the loopback device, answers for all of
them and tells them apart by the address that was called; there an unreachable machine resets connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import structlog

from agent.errors import Misconfigured
from agent.simulator.conversation import Conversation
from agent.simulator.machine import Machine, wall_clock
from agent.simulator.rpc import RpcConversation
from agent.simulator.v3 import V3Conversation
from agent.simulator.web import WebConversation

SHARED_ABOVE: Final = 1_000
PROTOCOLS: Final[dict[str, type[Conversation]]] = {
    "rpc": RpcConversation,
    "http": WebConversation,
    "whatsminer_v3": V3Conversation,
}
_BACKLOG = 64
_SHARED_BACKLOG = 4_096
_LOOK_EVERY_S = 0.1

log = structlog.get_logger()


class Farm:
    """Simulated machines by address.

    `async with farm.listening():` holds their ports open; `left_out` then names the families whose ports may
    not be bound, and why. `farm["127.77.0.1"].faults.begin(Fault.GARBAGE)` breaks a machine at once.
    """

    def __init__(
        self,
        machines: Iterable[Machine],
        *,
        clock: Callable[[], datetime] = wall_clock,
        shares_ports: bool | None = None,
    ) -> None:
        self.clock = clock
        self._machines = {machine.address: machine for machine in machines}
        self._shares_ports = len(self._machines) > SHARED_ABOVE if shares_ports is None else shares_ports
        self._listeners: dict[str, list[asyncio.Server]] = {}
        self._connections: dict[str, set[asyncio.Transport]] = {}
        self._touched: set[str] = set()  # machines with faults: their doors are looked after
        self._stir = asyncio.Event()
        self.left_out: dict[str, str] = {}

    @property
    def machines(self) -> Sequence[Machine]:
        """Those that listen, or will: all but the families left out."""
        return [machine for machine in self._machines.values() if machine.family not in self.left_out]

    @property
    def open_connections(self) -> int:
        """How many callers are connected now."""
        return sum(len(transports) for transports in self._connections.values())

    @property
    def listeners_needed(self) -> int:
        """Descriptors for listening alone."""
        ports = [port for machine in self.machines for port in machine.firmware.ports.values()]
        return len(set(ports)) if self._shares_ports else len(ports)

    def __getitem__(self, address: str) -> Machine:
        return self._machines[address]

    def machine_at(self, address: str) -> Machine | None:
        machine = self._machines.get(address)
        return None if machine is None or machine.family in self.left_out else machine

    def opened(self, machine: Machine, transport: asyncio.Transport) -> None:
        self._connections.setdefault(machine.address, set()).add(transport)

    def closed(self, machine: Machine, transport: asyncio.Transport) -> None:
        self._connections.get(machine.address, set()).discard(transport)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Farm]:
        """All machines answer inside this block. Raises `Misconfigured` when a port is taken or descriptors run out."""
        try:
            self._leave_out_barred_families()
            if self._shares_ports:
                await self._open_shared()
            for machine in self.machines:
                machine.faults.on_change = self._touch(machine.address)
                await self._attend(machine)
            # No TaskGroup: it would wrap whatever the block raises into a group; the task is joined right here.
            doorkeeper = asyncio.create_task(self._keep_doors(), name="doorkeeper")
            try:
                yield self
            finally:
                doorkeeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await doorkeeper
        finally:
            await self._close_all()

    def _leave_out_barred_families(self) -> None:
        """Try each port of each family once; what may not be bound leaves its whole family out."""
        for family, machine in {machine.family: machine for machine in reversed(self._machines.values())}.items():
            for port in machine.firmware.ports.values():
                try:
                    _bound(machine.address, port, listens=False).close()
                except PermissionError:
                    self.left_out[family] = (
                        f"port {port} may not be bound without the right to (root, or CAP_NET_BIND_SERVICE)"
                    )

    async def _open_shared(self) -> None:
        ports = {port: name for machine in self.machines for name, port in machine.firmware.ports.items()}
        for port, name in ports.items():
            try:
                listener = _bound("", port, backlog=_SHARED_BACKLOG)
            except PermissionError as error:
                raise Misconfigured("shared ports need the right to bind to a device (CAP_NET_RAW)") from error
            await self._listen("", name, listener)

    async def _attend(self, machine: Machine) -> None:
        """Open or close a machine's doors as its faults demand."""
        address = machine.address
        if machine.faults.is_off(self.clock()):
            self._shut(address)
            for transport in list(self._connections.get(address, ())):
                transport.abort()
        elif not self._shares_ports and address not in self._listeners:
            try:
                for name, port in machine.firmware.ports.items():
                    await self._listen(address, name, _bound(address, port))
            except Misconfigured:
                self._shut(address)  # all of its doors or none
                raise

    def _shut(self, address: str) -> None:
        for server in self._listeners.pop(address, ()):
            server.close()

    async def _listen(self, address: str, protocol: str, listener: socket.socket) -> None:
        conversation = PROTOCOLS[protocol]
        loop = asyncio.get_running_loop()
        try:
            backlog = _BACKLOG if address else _SHARED_BACKLOG  # the loop listens anew, with a queue of its own
            server = await loop.create_server(lambda: conversation(self), sock=listener, backlog=backlog)
        except OSError as error:
            listener.close()
            raise Misconfigured(f"cannot listen on {address or 'loopback'}: {error.strerror}") from error
        self._listeners.setdefault(address, []).append(server)

    def _touch(self, address: str) -> Callable[[], None]:
        def touched() -> None:
            self._touched.add(address)
            self._stir.set()

        if self._machines[address].faults:
            self._touched.add(address)
        return touched

    async def _keep_doors(self) -> None:
        """Follow the scripts: what is off closes, what is on again opens; at once when somebody changes a fault."""
        stuck: set[str] = set()
        while True:
            for address in list(self._touched):
                machine = self._machines[address]
                try:
                    await self._attend(machine)
                    stuck.discard(address)
                except Misconfigured:  # another program took the port meanwhile: it may give it back
                    if address not in stuck:
                        log.warning("simulator.machine_stays_shut", family=machine.family)
                    stuck.add(address)
            self._stir.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S if self._touched else None):
                    await self._stir.wait()

    async def _close_all(self) -> None:
        for address in list(self._listeners):
            self._shut(address)
        for transport in [transport for transports in self._connections.values() for transport in transports]:
            transport.abort()
        await asyncio.sleep(0)  # the aborted connections say good-bye in the next turn of the loop


def _bound(address: str, port: int, *, listens: bool = True, backlog: int = _BACKLOG) -> socket.socket:
    """A TCP socket bound to an address, or with "" to every address of the loopback device and no other."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not address:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        listener.bind((address, port))
        if listens:
            listener.listen(backlog)
    except PermissionError:
        listener.close()
        raise
    except OSError as error:
        listener.close()
        where = address or "all of loopback (shared ports need it free on every address)"
        raise Misconfigured(f"cannot listen on port {port} of {where}: {error.strerror}") from error
    return listener
