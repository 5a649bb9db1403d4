"""Which drivers there are, by the name that the settings call them. Their libraries are imported when they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from agent.drivers import fence
from agent.drivers.auto import Auto
from agent.drivers.deferred import Deferred
from agent.drivers.floods import Floods
from agent.drivers.in_order import InOrder
from agent.drivers.logins import Credential, Logins
from agent.drivers.protocol import Driver
from agent.errors import Misconfigured


def _asic_rs(logins: Logins, floods: Floods) -> Driver:
    from agent.drivers.asic_rs import AsicRs

    return AsicRs(logins, floods)


def _pyasic(logins: Logins, floods: Floods) -> Driver:
    from agent.drivers.pyasic_driver import Pyasic

    return Pyasic(logins, floods)


DRIVERS: Final[dict[str, Callable[[Logins, Floods], Driver]]] = {
    "asic-rs": _asic_rs,
    "pyasic": _pyasic,
}


def engine(
    name: str = "auto",
    *,
    credentials: Iterable[Credential] = (),
    vendor_passwords: bool = False,
    within: Iterable[str] = (),
    floods: Floods | None = None,
) -> Driver:
    """The driver that the settings name; `auto` is all of them, in the order above.

    `within`: the site's addresses, as for `fence.around`: to no others a machine can send it. `floods`: what
    `flood_watch.watch` tells of machines that send without end; nobody does when it is not given.
    Raises `Misconfigured` for an unknown name, an unknown make and a password file that cannot be read.
    """
    fence.around(within)
    floods = floods or Floods()
    logins = Logins.read_all(credentials, vendor_passwords=vendor_passwords)
    if name == "auto":
        first, *others = DRIVERS
        later = (Deferred(other, partial(_made, other, logins, floods)) for other in others)
        return Auto(_made(first, logins, floods), *later)
    if name not in DRIVERS:
        raise Misconfigured(f"engine {name!r} is not known; write auto, {' or '.join(DRIVERS)}")
    return _made(name, logins, floods)


def _made(name: str, logins: Sequence[Logins], floods: Floods) -> Driver:
    drivers = [DRIVERS[name](each, floods) for each in logins]
    return drivers[0] if len(drivers) == 1 else InOrder(*drivers)
