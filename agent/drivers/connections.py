"""This process' TCP connections, as the system knows them: the libraries' interfaces tell nothing of theirs.

Only Linux tells; elsewhere there are none to be seen. A look costs some ten microseconds for each open file, and may
be had from any thread.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fd")
_INFO: Final = struct.Struct("=44xI4xI72xQ")
"""Of `struct tcp_info`: milliseconds since anything was sent (`tcpi_last_data_sent`) and received
(`tcpi_last_data_recv`), and how much was received in all (`tcpi_bytes_received`, Linux 4.1)."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection over IPv4, and what went over it."""

    inode: int  # what tells it from all others that are open
    address: str  # of the other side
    rested_s: float
    received_bytes: int
    socket: socket.socket  # by a descriptor of our own, and open only until the next one is looked at


def connections() -> Iterator[Connection]:
    """Each that is connected."""
    if not hasattr(socket, "TCP_INFO") or not _DESCRIPTORS.is_dir():
        return
    for entry in list(_DESCRIPTORS.iterdir()):
        with suppress(OSError, struct.error):  # closed since it was listed, none is to be had, or not connected
            ours = os.dup(int(entry.name))  # the owner may close its own meanwhile, and another file take the number
            status = os.fstat(ours)
            if not stat.S_ISSOCK(status.st_mode):
                os.close(ours)
                continue
            with socket.socket(fileno=ours) as found:
                if found.family == socket.AF_INET and found.type == socket.SOCK_STREAM:
                    yield _seen(status.st_ino, found)


def _seen(inode: int, found: socket.socket) -> Connection:
    info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    sent_ms, received_ms, received_bytes = _INFO.unpack(info)
    return Connection(inode, found.getpeername()[0], min(sent_ms, received_ms) / 1_000, received_bytes, found)
