"""How often one address may try something: enough for people, too little for guessing."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from aiohttp import web

_MOST_ADDRESSES: Final = 10_000


class Rate:
    """At most `most` times in `window` for each key. Memory is bounded: the longest unseen keys are forgotten.

    It counts what this process sees. `counted_as`: the name under which all backends count together, in the registry
    (`backend.accounts.tries`); what is refused here costs nothing there.
    """

    def __init__(self, most: int, window: timedelta, *, counted_as: str | None = None) -> None:
        self.most = most
        self.window = window
        self.counted_as = counted_as
        self._seen: OrderedDict[str, deque[datetime]] = OrderedDict()

    def wait_s(self, key: str, now: datetime) -> float:
        """0.0 and the try counts; or how long until the next one is allowed, and it does not count."""
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        while len(self._seen) > _MOST_ADDRESSES:
            self._seen.popitem(last=False)
        while times and times[0] <= now - self.window:
            times.popleft()
        if len(times) >= self.most:
            return (times[0] + self.window - now).total_seconds()
        times.append(now)
        return 0.0


def address(request: web.Request, proxies: tuple[str, ...]) -> str:
    """Who sent a request, as a key to count by. IPv6 by its /64, one customer's."""
    found = sender(request, proxies)
    if found is None:
        return "unknown"
    return str(found) if found.version == 4 else str(ip_network(f"{found}/64", strict=False))


def sender(request: web.Request, proxies: tuple[str, ...]) -> IPv4Address | IPv6Address | None:
    """Who sent a request: its peer, or what our own proxies say of theirs."""
    networks = [ip_network(proxy) for proxy in proxies]
    found = _parsed(request.remote or "")
    for previous in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        before = _parsed(previous.strip())
        if before is None or found is None or not any(found in network for network in networks):
            break
        found = before
    return found


def _parsed(value: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(value)
    except ValueError:
        return None
    # Where one socket takes both, IPv4 looks like ::ffff:192.0.2.1: all of it would be one /64.
    return getattr(found, "ipv4_mapped", None) or found
