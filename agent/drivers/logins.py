"""Which user and password a machine of a make is asked with. Without any, none is sent.

Both libraries send the passwords that vendors ship with, unasked. Here that takes `vendor_passwords`; a login
that the operator gave for a make goes before the vendor's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import structlog

from agent.errors import Misconfigured
from agent.normalise import slug

log = structlog.get_logger()

MAKES: Final = frozenset(
    str.split(
        """
    antminer auradine avalon bitaxe braiins elphapex epic fluminer futurebit goldshell hammer hiveon iceriver
    innosilicon luckyminer luxos marathon mskminer nerdaxe proto sealminer vnish volcminer whatsminer
        """
    )
)
"""Makers, and firmwares that bring their own login."""

_ALIASES: Final = {
    "avalonminer": "avalon",
    "bitmain": "antminer",
    "bos": "braiins",
    "braiinsos": "braiins",
    "canaan": "avalon",
    "hive": "hiveon",
    "luxor": "luxos",
    "marafw": "marathon",
    "microbt": "whatsminer",
}


class Login(NamedTuple):
    username: str
    password: str

    def __repr__(self) -> str:
        return "Login(…)"


class Credential(Protocol):
    """One `[[credentials]]` table of the settings."""

    @property
    def make(self) -> str: ...

    @property
    def username(self) -> str: ...

    def password(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Logins:
    """The operator's logins by make, and whether vendors' passwords may be tried as well."""

    by_make: Mapping[str, Login] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    vendor_passwords: bool = False
    _missed: set[tuple[str, str]] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def read(cls, credentials: Iterable[Credential], *, vendor_passwords: bool) -> Logins:
        """The first login that was given for each make. Raises as `read_all`."""
        return cls.read_all(credentials, vendor_passwords=vendor_passwords)[0]

    @classmethod
    def read_all(cls, credentials: Iterable[Credential], *, vendor_passwords: bool) -> list[Logins]:
        """As many as a make has logins, in their order; a make with fewer keeps its last.

        Raises `Misconfigured` for a password file that cannot be read and for an unknown make.
        """
        logins: dict[str, list[Login]] = {}
        for credential in credentials:
            make = canonical_make(credential.make)
            if make not in MAKES:
                raise Misconfigured(f"credentials of {credential.make}: write one of {', '.join(sorted(MAKES))}")
            logins.setdefault(make, []).append(Login(credential.username, credential.password()))
        most = max(map(len, logins.values()), default=1)
        return [
            cls(
                MappingProxyType({make: given[min(turn, len(given) - 1)] for make, given in logins.items()}),
                vendor_passwords,
            )
            for turn in range(most)
        ]

    def of(self, make: str | None) -> Login | None:
        return self.by_make.get(canonical_make(make or ""))

    def may_log_in(self, make: str | None) -> bool:
        """Whether any password may be sent to machines of this make."""
        return self.vendor_passwords or self.of(make) is not None

    def miss(self, driver: str, make: str) -> None:
        """Say once for each make that its machines tell more to those who log in."""
        if (driver, make) not in self._missed:
            self._missed.add((driver, make))
            log.info("driver.login_missing", driver=driver, make=make)


def canonical_make(make: str) -> str:
    key = slug(make)
    return _ALIASES.get(key, key)
