"""Which drivers there are, by the name that the settings call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from agent.drivers.asic_rs import AsicRs
from agent.drivers.auto import Auto
from agent.drivers.in_order import InOrder
from agent.drivers.logins import Credential, Logins
from agent.drivers.protocol import Driver
from agent.drivers.pyasic_driver import Pyasic
from agent.errors import Misconfigured

DRIVERS: Final[dict[str, Callable[[Logins], Driver]]] = {
    "asic-rs": AsicRs,
    "pyasic": Pyasic,
}


def engine(name: str = "auto", *, credentials: Iterable[Credential] = (), vendor_passwords: bool = False) -> Driver:
    """The driver that the settings name; `auto` is all of them, in the order above.

    Raises `Misconfigured` for an unknown name, an unknown make and a password file that cannot be read.
    """
    logins = Logins.read_all(credentials, vendor_passwords=vendor_passwords)
    if name == "auto":
        return Auto(*(_with(make, logins) for make in DRIVERS.values()))
    if name not in DRIVERS:
        raise Misconfigured(f"engine {name!r} is not known; write auto, {' or '.join(DRIVERS)}")
    return _with(DRIVERS[name], logins)


def _with(make: Callable[[Logins], Driver], logins: Sequence[Logins]) -> Driver:
    return make(logins[0]) if len(logins) == 1 else InOrder(*map(make, logins))
