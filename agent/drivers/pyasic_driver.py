"""Machines as pyasic reads them: it knows more makes than asic-rs.

What it does that we do not want, as measured on 0.79:
- a machine that accepts and never answers takes it 815 to 1,601 s: whoever calls holds a deadline;
- a machine that is dead gives empty data, and `MinerData` fills in `is_mining=True`: we take what was gathered;
- one field that fails fails the whole poll with an `APIError`: we ask again without it, and leave it out for a while;
- a web page that hangs holds up what the other port says: the two are asked side by side;
- machines of unknown model report H/s, not TH/s: the unit is taken from the value;
- `config` holds the pools' passwords: it is never asked for;
- an Antminer's pages take it more than all the rest: they are asked last, and only for what is not known by then.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from agent.drivers.answers import Extra
from agent.drivers.bounds import asking
from agent.drivers.floods import Floods
from agent.drivers.logins import Logins
from agent.drivers.own_read import OwnRead, complete, said_nothing
from agent.drivers.pyasic_finder import ClosedWeb, Finder
from agent.drivers.quiet import imported_quietly
from agent.drivers.refresh import refreshed
from agent.drivers.rests import Rests
from agent.drivers.thrift import Channel, parse_estats_once
from agent.errors import AgentError, BadReply, MinerUnreachable
from agent.normalise import (
    air_c,
    board_c,
    chip_c,
    count,
    fault_code,
    make_name,
    model_name,
    positive,
    slug,
    text,
    ths,
    total,
    volts,
)
from agent.reading import Facts, Live, RawBoard, RawPool

with imported_quietly():
    from pyasic.errors import APIError

_LIVE: Final = ("hashrate", "hashboards", "wattage", "fans", "env_temp", "errors", "uptime", "is_mining", "pools")
_STATIC: Final = ("mac", "serial_number", "fw_ver", "hostname", "expected_hashrate")
_FAILED: Final = re.compile(r"Failed to call (\w+) on ")
_WEB_S: Final = 4.0
_WEB: Final = "web"
_IS_MINING_IS_A_SETTING: Final = frozenset({"antminer", "auradine", "elphapex", "hammer", "volcminer", "whatsminer"})
"""Makes whose stock firmware says that it was paused; for the others `is_mining` is an echo of the hashrate."""


class Pyasic:
    """The driver. One for all machines of a site."""

    name = "pyasic"

    def __init__(self, logins: Logins, floods: Floods) -> None:
        parse_estats_once()
        self._floods = floods
        self._finder = Finder(logins)

    async def find(self, address: str) -> PyasicMiner | None:
        try:
            known = await self._finder.identify(address)
        except Exception as error:  # whatever a garbled answer makes pyasic raise
            raise BadReply("not an answer that pyasic understands") from error
        if known is None:
            return None
        miner = PyasicMiner(address, known, self._floods)
        await miner.refresh()
        return miner


class PyasicMiner:
    """One machine as pyasic knows it."""

    def __init__(self, address: str, known: Any, floods: Floods) -> None:
        self._known = known
        self._floods = floods
        self._rests = Rests()  # of fields, and of the web page
        self._live, self._static = _split(known, _LIVE), _split(known, _STATIC)
        boards, chips = count(known.expected_hashboards), count(known.expected_chips)
        make = make_name(str(known.make)) if known.make is not None else None
        self._own = OwnRead(address, make, floods)
        self._is_stock = known.firmware is None or slug(str(known.firmware)) == "stock"
        self._channel = Channel(known.rpc)
        self._last: tuple[str, ...] = ()
        if self._is_stock and make == "Antminer" and self._live.by_port:
            self._live, self._last = self._live._replace(by_web=()), self._live.by_web
        self._bare_boards = tuple(RawBoard(index=index, chips_expected=chips) for index in range(boards or 0))
        self._facts = Facts(
            address=address,
            driver=f"pyasic {version('pyasic')}",
            make=make,
            model=model_name(str(known.raw_model), make) if known.raw_model is not None else None,
            boards_expected=boards,
            chips_expected=boards * chips if boards and chips else None,
            fans_expected=count(known.expected_fans),
        )

    @property
    def facts(self) -> Facts:
        return self._facts

    async def read(self) -> Live:
        async with self._floods.bounded(self._facts.address):
            return await self._read()

    async def _read(self) -> Live:
        self._rests.next_read()
        failed: set[str] = set()
        live, extra, error = await self._ask(failed)
        live = complete(live, extra)
        if said_nothing(live):
            raise error or MinerUnreachable("no hashrate and no uptime")
        for name in (*_LIVE, _WEB):  # of a machine that says nothing at all no field is to blame
            if name in failed:
                self._rests.failed(name)
            elif name not in self._rests:
                self._rests.worked(name)
        return live

    async def refresh(self) -> Facts:
        self._rests.clear()
        self._channel.reconsider()
        failed: set[str] = set()
        data, error = await self._gather_all(self._static, failed)
        if not data.keys() & {"mac", "fw_ver", "hostname", "expected_hashrate"}:
            raise error or MinerUnreachable("no firmware, MAC, host name or expected hashrate")
        if _WEB in failed:
            self._rests.failed(_WEB)
        self._own.reconsider()
        family, release = str(self._known.firmware or ""), text(data.get("fw_ver"))
        self._facts = refreshed(
            self._facts,
            firmware=release if self._is_stock or release is None else f"{family} {release}",
            mac=text(data.get("mac")),
            serial=text(data.get("serial_number")),
            hostname=text(data.get("hostname")),
            expected_ths=positive(_ths(data.get("expected_hashrate"))),
        )
        return self._facts

    async def _ask(self, failed: set[str]) -> tuple[Live, Extra, AgentError | None]:
        """What pyasic and our own read give, and what went wrong at port 4028."""
        async with asyncio.TaskGroup() as group:
            own = group.create_task(self._own.read(), name="own read")
            asked = group.create_task(self._gather_all(self._live, failed), name="pyasic read")
        (data, error), extra = asked.result(), own.result()
        if not self._last:
            return self._understand(data), extra, error
        has_boards = extra.boards is not None and all(board.hashrate_ths is not None for board in extra.boards)
        known = {name for name, is_known in (("hashboards", has_boards), ("is_mining", _hashes(data))) if is_known}
        page = tuple(name for name in self._last if name not in known)
        live = self._understand(data | await self._gather_web(_Fields(self._live.by_port, page), failed))
        return replace(live, boards=self._bare_boards) if "hashboards" in known else live, extra, error

    async def _gather_all(self, fields: _Fields, failed: set[str]) -> tuple[dict[str, Any], AgentError | None]:
        """What could be had of the fields, and what went wrong at port 4028: the page may still know something."""
        async with asyncio.TaskGroup() as group:
            web = group.create_task(self._gather_web(fields, failed), name="web read")
            port = group.create_task(_or_error(self._gather(fields.by_port, failed)), name="port read")
        data, error = port.result()
        return data | web.result(), error

    async def _gather_web(self, fields: _Fields, failed: set[str]) -> dict[str, Any]:
        """What comes by the web page, for at most `_WEB_S` when the other port has something to say as well."""
        if not fields.by_web or _WEB in self._rests:
            return {}
        try:
            async with asyncio.timeout(_WEB_S if fields.by_port else None):
                return await self._gather(fields.by_web, failed)
        except (TimeoutError, BadReply, MinerUnreachable):
            failed.add(_WEB)
            return {}

    async def _gather(self, fields: Sequence[str], failed: set[str]) -> dict[str, Any]:
        """The fields that it gave; those that made pyasic fail go to `failed`. `MinerData` would not tell a field
        that was not given from its default."""
        wanted = [field for field in fields if field not in self._rests]
        while wanted:
            try:
                with asking(self._facts.address):
                    found: dict[str, Any] = await self._known._get_data(allow_warning=False, include=wanted)
            except AgentError:
                raise
            except APIError as error:
                culprit = _FAILED.match(str(error))
                if culprit is None or culprit[1] not in wanted:
                    raise BadReply("not an answer that pyasic understands") from error
                wanted.remove(culprit[1])
                failed.add(culprit[1])
            except OSError as error:
                raise MinerUnreachable("the connection failed") from error
            except Exception as error:  # whatever a garbled answer makes pyasic raise
                raise BadReply("not an answer that pyasic understands") from error
            else:
                return {name: value for name, value in found.items() if value is not None}
        return {}

    def _understand(self, data: dict[str, Any]) -> Live:
        boards = tuple(_board(board, self._facts.make) for board in data.get("hashboards", ()))
        rates = [board.hashrate_ths for board in boards if board.hashrate_ths is not None]
        hashrate_ths = _ths(data.get("hashrate"))
        if hashrate_ths is None and rates:
            hashrate_ths = sum(rates)
        pools: list[Any] = data.get("pools", [])
        fans = [rpm for fan in data.get("fans", ()) if (rpm := count(fan.speed)) is not None]
        return Live(
            is_meant_to_mine=self._is_meant_to_mine(data, hashrate_ths),
            hashrate_ths=hashrate_ths,
            power_w=positive(data.get("wattage")),
            uptime_s=count(data.get("uptime")),
            inlet_temp_c=air_c(data.get("env_temp")),
            fans_rpm=tuple(fans) or None,
            boards=boards or None,
            shares_accepted=total(pool.accepted for pool in pools),
            shares_rejected=total(pool.rejected for pool in pools),
            pools=tuple(_pool(pool) for pool in pools) or None,
            fault_codes=self._fault_codes(data.get("errors")),
        )

    def _is_meant_to_mine(self, data: dict[str, Any], hashrate_ths: float | None) -> bool:
        """Meant to, unless it says that it was paused: a hashrate of 0 alone is no pause."""
        says_paused = self._is_stock and slug(self._facts.make or "") in _IS_MINING_IS_A_SETTING
        return bool(hashrate_ths) or not says_paused or data.get("is_mining") is not False

    def _fault_codes(self, errors: Iterable[Any] | None) -> tuple[str, ...] | None:
        if errors is None:
            return None
        return tuple(dict.fromkeys(fault_code(self._facts.make, error.error_code) for error in errors))


async def _or_error(gathering: Coroutine[Any, Any, dict[str, Any]]) -> tuple[dict[str, Any], AgentError | None]:
    """What was gathered, or nothing and why: the other ways to ask may still know something."""
    try:
        return await gathering, None
    except AgentError as error:
        return {}, error


class _Fields(NamedTuple):
    """The fields that come by port 4028 alone, and those that (may) need the web page."""

    by_port: tuple[str, ...]
    by_web: tuple[str, ...]


def _split(known: Any, fields: Sequence[str]) -> _Fields:
    """All are of one kind when there is no page, or one that fails at once."""
    if known.web is None or isinstance(known.web, ClosedWeb):
        return _Fields(tuple(fields), ())
    sources = {field: getattr(known.data_locations, field).kwargs for field in fields}
    by_port = tuple(
        field
        for field, commands in sources.items()
        if commands and all(type(command).__name__ == "RPCAPICommand" for command in commands)
    )
    return _Fields(by_port, tuple(field for field in fields if field not in by_port))


def _ths(rate: Any) -> float | None:
    """By the unit that it comes with: TH/s, but H/s for machines of unknown model and other coins."""
    return ths(rate.rate, int(rate.unit)) if rate is not None else None


def _hashes(data: dict[str, Any]) -> bool:
    return bool(_ths(data.get("hashrate")))


def _board(board: Any, make: str | None) -> RawBoard:
    return RawBoard(
        index=board.slot,
        hashrate_ths=_ths(board.hashrate),
        board_temp_c=board_c(board.temp, make),
        chip_temp_c=chip_c(board.chip_temp),
        chips_working=count(board.chips),
        chips_expected=count(board.expected_chips),
        voltage_v=volts(board.voltage),
    )


def _pool(pool: Any) -> RawPool:
    return RawPool(
        url=str(pool.url) if pool.url is not None else None, user=pool.user, alive=pool.alive, active=pool.active
    )
