"""Connections that a library keeps to machines from one read to the next, for a minute and a half: up to five for one
machine, 27 kB each, and a machine's web server has few places for people who want to see its page.

Nothing in the library's interface closes them, so it is done from below: a connection that is shut down is taken for
one that the machine has closed, and the next request opens another. Where the system does not tell how long a
connection has rested (it is Linux that does), nothing changes.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fd")
_LAST_SENT: Final = struct.Struct("8x36xI")
"""Of `struct tcp_info`: milliseconds since anything was sent, `tcpi_last_data_sent`."""
_LAST_RECEIVED: Final = struct.Struct("8x44xI")
"""The same of what was received, `tcpi_last_data_recv`."""
_INFO_BYTES: Final = 104


def close_idle(addresses: Container[str], idle_s: float) -> int:
    """Close the connections to these addresses over which nothing went for so long; how many.

    `idle_s` is longer than any answer is waited for. Blocks for some microseconds for each open file; may be called
    from any thread.
    """
    closed = 0
    for connection in _connections():
        with connection, suppress(OSError, struct.error):  # not connected, or just gone
            if connection.getpeername()[0] in addresses and _rested_s(connection) >= idle_s:
                connection.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def _connections() -> Iterator[socket.socket]:
    """This process' TCP sockets, each by a descriptor of our own: the owner may close its own meanwhile, and another
    file take the number."""
    if not hasattr(socket, "TCP_INFO") or not _DESCRIPTORS.is_dir():
        return
    for entry in list(_DESCRIPTORS.iterdir()):
        with suppress(OSError):  # closed since it was listed, or none is to be had
            ours = os.dup(int(entry.name))
            if not stat.S_ISSOCK(os.fstat(ours).st_mode):
                os.close(ours)
                continue
            found = socket.socket(fileno=ours)
            if found.family == socket.AF_INET and found.type == socket.SOCK_STREAM:
                yield found
            else:
                found.close()


def _rested_s(connection: socket.socket) -> float:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    (sent_ms,), (received_ms,) = _LAST_SENT.unpack_from(info), _LAST_RECEIVED.unpack_from(info)
    return float(min(sent_ms, received_ms)) / 1_000
