"""The machines that this site had: after a restart they are asked at once, and one that is down is known to be.

The list stays at the site, sealed with a key made of the site's. It is there whole or not at all; what is missing from
it is found again by the next scan. Older versions left it in clear: that file is read where there is no sealed one, and
goes once there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agent import durable
from agent.drivers.protocol import Driver, Miner
from agent.errors import MinerUnreachable, Misconfigured
from agent.keyring import Keyring
from agent.reading import Facts, Live
from agent.sealed import Damaged, SealedFile

_IN_CLEAR: Final = "machines.json"
"""What older versions called the list, beside where it is now."""
_FORGET_AFTER: Final = timedelta(days=7)
"""A machine that was not seen for so long is gone, not down."""
_WRITE_AGAIN: Final = timedelta(hours=1)

log = structlog.get_logger()


class _Known(BaseModel):
    model_config = ConfigDict(frozen=True)

    facts: Facts
    seen_at: datetime


_LIST: Final = TypeAdapter(list[_Known])


class KnownMachines:
    """Facts of each machine by its address, and when it was last seen."""

    def __init__(self, path: Path, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._keyring = keyring
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._changed = False
        self._written_at = clock()

    def load(self, addresses: Container[str]) -> list[Facts]:
        """What was known at the last write, of machines within `addresses` that were seen in the last days.

        Raises `Misconfigured` when the file cannot be read; a damaged one is as good as none.
        """
        sealed(self._path).settle(self._keyring)
        found = _read(self._path, self._keyring)
        self._changed = _in_clear(self._path).exists()
        oldest = self._clock() - _FORGET_AFTER
        kept = [one for one in found if one.facts.address in addresses and one.seen_at >= oldest]
        self._known = {one.facts.address: one for one in kept}
        return [one.facts for one in kept]

    @staticmethod
    def forget(path: Path, keyring: Keyring, address: str) -> None:
        """Take a machine out of the file; no agent may be running. Raises `DiskTrouble`."""
        sealed(path).settle(keyring)
        _store(path, keyring, [one for one in _read(path, keyring) if one.facts.address != address])

    def seen(self, facts: Facts) -> Facts | None:
        """This machine answered. What was known of the one at its address."""
        before = self._known.get(facts.address)
        if before is None or before.facts != facts:
            self._changed = True
        self._known[facts.address] = _Known.model_construct(facts=facts, seen_at=self._clock())
        return before.facts if before else None

    def keep(self, addresses: Container[str]) -> None:
        """Forget machines at other addresses: they moved."""
        for address in [one for one in self._known if one not in addresses]:
            del self._known[address]
            self._changed = True

    def gone(self) -> list[str]:
        """The addresses of machines that have not been seen for days."""
        oldest = self._clock() - _FORGET_AFTER
        return [address for address, one in self._known.items() if one.seen_at < oldest]

    def due(self) -> bool:
        """Whether there is something to write."""
        return self._changed or (bool(self._known) and self._clock() - self._written_at >= _WRITE_AGAIN)

    async def write(self) -> None:
        """Write the list. Raises `DiskTrouble`, and is then still due."""
        self._changed = False
        self._written_at = self._clock()
        try:
            await asyncio.to_thread(_store, self._path, self._keyring, list(self._known.values()))
        except BaseException:
            self._changed = True
            raise


class RememberedMiner:
    """A machine of the list: looked for where it was when it is first read, and its driver's own from then on."""

    def __init__(self, facts: Facts, driver: Driver) -> None:
        self._facts = facts
        self._driver = driver
        self._found: Miner | None = None

    @property
    def facts(self) -> Facts:
        return self._found.facts if self._found else self._facts

    async def read(self) -> Live:
        return await (await self._machine()).read()

    async def refresh(self) -> Facts:
        return await (await self._machine()).refresh()

    async def _machine(self) -> Miner:
        if self._found is None:
            self._found = await self._driver.find(self._facts.address)
        if self._found is None:
            raise MinerUnreachable("not found again")
        return self._found


def sealed(path: Path) -> SealedFile:
    """The file as such."""
    return SealedFile(path, "list of machines")


def remembered(path: Path, keyring: Keyring) -> list[Facts]:
    """The facts of all machines of the list. Raises `Misconfigured` when the file cannot be read."""
    return [one.facts for one in _read(path, keyring)]


def _read(path: Path, keyring: Keyring) -> list[_Known]:
    """The sealed list, else the one in clear; one that is damaged is as good as none."""
    for content in (partial(sealed(path).read, keyring), partial(_bytes, _in_clear(path))):
        try:
            if data := content():
                return _LIST.validate_json(data)
        except (Damaged, ValidationError):
            log.warning("machines.forgotten", why="the list of machines is damaged; the scan finds them again")
    return []


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error


def _in_clear(path: Path) -> Path:
    return path.with_name(_IN_CLEAR)


def _store(path: Path, keyring: Keyring, known: list[_Known]) -> None:
    plain = [_Known.model_construct(facts=Facts(**_printable(one.facts)), seen_at=one.seen_at) for one in known]
    sealed(path).write(keyring, _LIST.dump_json(plain, exclude_none=True))
    durable.remove(_in_clear(path))


def _printable(facts: Facts) -> dict[str, Any]:
    """Text that UTF-8 can write."""
    return {
        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in asdict(facts).items()
    }
