"""How many files and connections this process may have open."""

from __future__ import annotations

import contextlib

try:
    import resource
except ImportError:  # Windows, which has no such limit on sockets
    resource = None  # type: ignore[assignment]


def allow(wanted: int) -> int:
    """Raise the limit to `wanted` as far as the system lets us; the number that is allowed now.

    Past the limit connections fail without a word: at 1,024 half of asic-rs' polls come back empty.
    """
    if resource is None:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
