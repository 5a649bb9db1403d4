"""Addresses of loopback from which nothing comes back: packets to them vanish, as those to a machine without power."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_DEVICE: Final = "hole"
_KINDS: Final = ("dummy", "ifb")
"""Devices that drop whatever is sent through them; which of them there are depends on the kernel."""


class NotAllowed(RuntimeError):
    """This process may not change the network; within `unshare -n` root may."""


@contextlib.contextmanager
def black_hole(addresses: Iterable[str]) -> Iterator[None]:
    """Packets to these addresses vanish until the block ends, those of open connections as well."""
    _make_device()
    try:
        Path(f"/proc/sys/net/ipv4/conf/{_DEVICE}/route_localnet").write_text("1")
        routes = "".join(f"route add {address}/32 dev {_DEVICE} table local\n" for address in addresses)
        _ip("-batch", "-", said=routes)
        yield
    finally:
        _ip("link", "delete", _DEVICE)


def _make_device() -> None:
    for kind in _KINDS:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip("link", "add", _DEVICE, "type", kind)
            _ip("link", "set", _DEVICE, "up")
            return
    raise NotAllowed("no device for black holes could be made")


def _ip(*words: str, said: str = "") -> None:
    subprocess.run(("ip", *words), input=said, text=True, check=True, stderr=subprocess.DEVNULL)
