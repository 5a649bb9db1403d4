"""Connections that a library keeps to machines from one read to the next, for a minute and a half: up to five for one
machine, 27 kB each, and a machine's web server has few places for people who want to see its page.

Nothing in the library's interface closes them, so it is done from below: a connection that is shut down is taken for
one that the machine has closed, and the next request opens another.
"""

from __future__ import annotations

import socket
from collections.abc import Container
from contextlib import suppress

from agent.drivers.connections import connections


def close_idle(addresses: Container[str], idle_s: float) -> int:
    """Close the connections to these addresses over which nothing went for so long; how many.

    `idle_s` is longer than any answer is waited for. Blocks, as `connections` says.
    """
    closed = 0
    for connection in connections():
        if connection.address in addresses and connection.rested_s >= idle_s:
            with suppress(OSError):  # just gone
                connection.socket.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed
