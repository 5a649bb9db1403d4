"""Where the libraries may go: a machine that redirects a read must not make the agent ask hosts off the site.

asic-rs follows redirects, has no setting for it, and asks the environment for proxies each time it gets to know a
machine (measured on 0.8.6); pyasic asks a service of its makers for a Whatsminer's permission, through a client that
heeds proxies. So the environment says: straight to the site's own addresses, and to all others by a proxy that nobody
can be, on port 0. No proxy that an operator set sees an address or a password of the site, either; the uplink, which
does take that one, has read the environment before (`agent.transit`).

asic-rs makes the one web client that it identifies machines with when it is first used, by the environment of that
moment and for good. It follows no redirects and sends no passwords, so it is made while the gate is open: a fence that
is moved later, by settings that are read again, must not keep it from machines that are new.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, collapse_addresses
from typing import Final

_NOWHERE: Final = "http://127.0.0.1:0"
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_STRAIGHT: Final = ("no_proxy", "NO_PROXY")
_ANYWHERE: Final = "0.0.0.0/0"
_LAN: Final = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")
_MOST: Final = 64
"""Networks: asic-rs keeps the list with each of ten thousand machines."""


def around(addresses: Iterable[str]) -> None:
    """Let machines be asked at these addresses from now on; at none: at all that are private.

    Of more than 64 networks, the /24s that they lie in. Machines that asic-rs knows already keep the former fence.
    """
    networks = ",".join(map(str, _networks(addresses))) or ",".join(_LAN)
    for name in _PROXIES:
        os.environ[name] = os.environ[name.upper()] = _NOWHERE
    for name in _STRAIGHT:
        os.environ[name] = networks


@contextmanager
def gate_open() -> Iterator[None]:
    """Within this, a client that is made may go anywhere for as long as it lives; never by a proxy."""
    before = {name: os.environ.get(name, "") for name in _STRAIGHT}
    os.environ |= dict.fromkeys(_STRAIGHT, _ANYWHERE)
    try:
        yield
    finally:
        os.environ |= before


def _networks(addresses: Iterable[str]) -> list[IPv4Network]:
    exact = list(collapse_addresses(map(IPv4Network, addresses)))
    if len(exact) <= _MOST:
        return exact
    return list(collapse_addresses(each.supernet(new_prefix=24) if each.prefixlen > 24 else each for each in exact))
