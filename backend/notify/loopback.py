"""Whether a host is this machine: the only one that may be spoken to in the clear."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine. Names other than `localhost` are not looked up: they are not."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
