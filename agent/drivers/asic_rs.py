"""Machines as asic-rs (the Python package `pyasic_rs`) reads them.

What it does that we do not want, as measured on 0.8.6:
- a machine that is dead gives empty data with `is_mining=True`, after 5 s when it accepts and never answers;
- it keeps up to 5 connections for one Antminer: whoever polls bounds how many machines are read at once;
- it takes whatever a machine sends into memory: `Floods` ends reads of those that send too much;
- it follows redirects to wherever they lead: `fence` keeps it within the site;
- it sends vendors' passwords unasked, to find an Antminer already: `Logins` decides, and where none may be sent,
  machines that need one are left to pyasic, which reads what they tell without;
- Antminer: no chip temperature, and a fan that stands still is left out; old Whatsminer: no fault codes, and a
  paused one is said to mine. `own_read` makes these good;
- for BitAxe, LuxOS and others `is_mining` only echoes a hashrate above 0: a pause is taken from those that say it.

Its awaitables can be cancelled: the connections are closed at once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Final

import pyasic_rs
from pyasic_rs.data import BoardData, DataField, HashRate, MessageSeverity, MinerData, MinerMessage

from agent.drivers import fence
from agent.drivers.floods import Floods
from agent.drivers.logins import Logins
from agent.drivers.own_read import OwnRead, complete, said_nothing
from agent.drivers.quiet import hush
from agent.drivers.refresh import refreshed
from agent.errors import MinerUnreachable
from agent.normalise import (
    air_c,
    board_c,
    count,
    fault_code,
    hottest,
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

_IDENTIFY_S: Final = 4
_NOBODY: Final = "127.255.255.254"
_FIRMWARE_LOGINS: Final = {
    "AntMiner Stock": "antminer",
    "Auradine Stock": "auradine",
    "Braiins": "braiins",
    "Elphapex Stock": "elphapex",
    "FutureBit Stock": "futurebit",
    "Goldshell Stock": "goldshell",
    "Marathon": "marathon",
    "Proto Stock": "proto",
    "SealMiner Stock": "sealminer",
    "UMC OS": "epic",
    "VNish": "vnish",
    "VolcMiner Stock": "volcminer",
    "WhatsMiner Stock": "whatsminer",
}
"""asic-rs' names of the firmwares that it has a password for → whose login they take."""
_READ_WITHOUT_LOGIN: Final = frozenset({"UMC OS", "WhatsMiner Stock"})
_PAUSES: Final = frozenset({"Paused", "Suspended", "Stopped", "Stopping"})
_MODE_ON_A_PAGE: Final = frozenset({"AntMiner Stock"})
_MODE_EVERY: Final = 10
"""Reads: the page that tells the mode holds the pools' passwords as well, and takes a login each time."""
_IS_MINING_IS_A_SETTING: Final = frozenset({"AntMiner Stock", "Elphapex Stock", "WhatsMiner Stock"})

_LIVE: Final = frozenset(
    str.split(
        """
    ExpectedHashrate Fans FluidTemperature Hashboards Hashrate Messages OperatingState OutletFluidTemperature
    Pools TuningTarget Uptime Wattage
        """
    )
)
"""Not IsMining: most machines hash, and then it is known without the page or the command that tells it."""
_STATIC: Final = frozenset(str.split("ExpectedHashrate FirmwareVersion Hostname Mac SerialNumber"))
_ALL_FIELDS: Final = tuple(name for name in vars(DataField) if name[0].isupper())


@cache
def _all_but(names: frozenset[str]) -> list[DataField]:
    return [getattr(DataField, name) for name in _ALL_FIELDS if name not in names]


class AsicRs:
    """The driver. One for all machines of a site."""

    name = "asic-rs"

    def __init__(self, logins: Logins, floods: Floods) -> None:
        hush()
        self._floods = floods
        self._logins = logins
        self._making_client = asyncio.Lock()
        self._has_client = False
        self._factory = pyasic_rs.MinerFactory().with_identification_timeout_secs(_IDENTIFY_S)
        for firmware, make in _FIRMWARE_LOGINS.items():
            login = logins.of(make)
            if login is not None:
                self._factory.with_firmware_discovery_auth(firmware, login.username, login.password)
            elif not logins.vendor_passwords:  # no name and no password, in place of the vendor's
                self._factory.with_firmware_discovery_auth(firmware, "", "")

    async def find(self, address: str) -> AsicRsMiner | None:
        async with self._making_client:
            if not self._has_client:
                await self._make_client()
        try:
            async with self._floods.bounded(address):
                handle = await self._factory.get_miner(address)
        except (ConnectionError, ValueError):
            return None
        if handle is None or not self._may_read(handle.firmware):
            return None
        miner = AsicRsMiner(address, handle, self._floods)
        await miner.refresh()
        return miner

    async def _make_client(self) -> None:
        """Have asic-rs make what it identifies all machines with: `fence` says why now, and not with the first one."""
        with fence.gate_open(), suppress(ConnectionError, ValueError):
            await self._factory.get_miner(_NOBODY)
        self._has_client = True

    def _may_read(self, firmware: str) -> bool:
        make = _FIRMWARE_LOGINS.get(firmware)
        if make is None or firmware in _READ_WITHOUT_LOGIN or self._logins.may_log_in(make):
            return True
        self._logins.miss(self.name, make)
        return False


class AsicRsMiner:
    """One machine as asic-rs knows it."""

    def __init__(self, address: str, handle: pyasic_rs.Miner, floods: Floods) -> None:
        self._handle = handle
        self._floods = floods
        self._firmware = handle.firmware
        make = make_name(handle.make)
        self._own = OwnRead(address, make, floods)
        self._own_tells_faults = False  # then asic-rs need not ask the same once more
        self._reads = itertools.count()
        self._power_mode: str | None = None
        self._facts = Facts(
            address=address,
            driver=f"pyasic-rs {version('pyasic-rs')}",
            make=make,
            model=model_name(handle.model, make),
            boards_expected=handle.expected_hashboards,
            chips_expected=handle.expected_chips,
            fans_expected=handle.expected_fans,
        )

    @property
    def facts(self) -> Facts:
        return self._facts

    async def read(self) -> Live:
        async with self._floods.bounded(self._facts.address):
            return await self._read()

    async def _read(self) -> Live:
        async with asyncio.TaskGroup() as group:
            own = group.create_task(self._own.read(), name="own read")
            asks_mode = self._firmware not in _MODE_ON_A_PAGE or next(self._reads) % _MODE_EVERY == 0
            skipped = ({"Messages"} if self._own_tells_faults else set()) | (set() if asks_mode else {"TuningTarget"})
            data = await self._handle.get_data(_all_but(_LIVE - skipped))
        extra = own.result()
        live = self._understand(data)
        if asks_mode:
            self._power_mode = live.power_mode
        else:
            live = replace(live, power_mode=self._power_mode)
        whole = complete(live, extra)
        if said_nothing(whole):
            raise MinerUnreachable("no hashrate and no uptime")
        if self._own_tells_faults and extra.fault_codes is None:
            whole = replace(whole, fault_codes=self._fault_codes(await self._handle.get_messages()))
        if live.is_meant_to_mine is None and extra.is_paused is None:
            whole = replace(whole, is_meant_to_mine=await self._handle.get_is_mining())
        self._own_tells_faults = extra.fault_codes is not None
        return whole

    async def refresh(self) -> Facts:
        async with self._floods.bounded(self._facts.address):
            data = await self._handle.get_data(_all_but(_STATIC))
        firmware, mac, expected_ths = text(data.firmware_version), text(data.mac), _ths(data.expected_hashrate)
        if firmware is None and mac is None and expected_ths is None:
            raise MinerUnreachable("no firmware, MAC or expected hashrate")
        self._own.reconsider()
        self._reads = itertools.count()
        self._facts = refreshed(
            self._facts,
            firmware=_firmware(self._firmware, firmware),
            mac=mac,
            serial=text(data.serial_number),
            hostname=text(data.hostname),
            expected_ths=positive(expected_ths),
        )
        return self._facts

    def _understand(self, data: MinerData) -> Live:
        hashrate_ths = _ths(data.hashrate)
        boards = tuple(_board(board, self._facts.make) for board in data.hashboards)
        rates = [board.hashrate_ths for board in boards if board.hashrate_ths is not None]
        if hashrate_ths is None and rates:
            hashrate_ths = sum(rates)
        fans = sorted(data.fans, key=lambda fan: fan.position)
        pools = [pool for group in data.pools for pool in group.pools]
        return Live(
            is_meant_to_mine=self._is_meant_to_mine(data, hashrate_ths),
            hashrate_ths=hashrate_ths,
            expected_ths=positive(_ths(data.expected_hashrate)),
            power_w=positive(data.wattage),
            uptime_s=_uptime_s(data),
            inlet_temp_c=air_c(data.fluid_temperature),
            outlet_temp_c=air_c(data.outlet_fluid_temperature),
            fans_rpm=tuple(rpm for fan in fans if (rpm := count(fan.rpm)) is not None) or None,
            boards=boards or None,
            shares_accepted=total(pool.accepted_shares for pool in pools),
            shares_rejected=total(pool.rejected_shares for pool in pools),
            pools=tuple(
                RawPool(
                    url=str(pool.url) if pool.url is not None else None,
                    user=pool.user,
                    alive=pool.alive,
                    active=pool.active,
                )
                for pool in pools
            )
            or None,
            fault_codes=self._fault_codes(data.messages),
            power_mode=_power_mode(data),
        )

    def _is_meant_to_mine(self, data: MinerData, hashrate_ths: float | None) -> bool | None:
        """Meant to, unless it says that it was paused: a hashrate of 0 alone is no pause. None: ask it."""
        if hashrate_ths:
            return True
        if data.operating_state is not None:
            return str(data.operating_state) not in _PAUSES
        return None if self._firmware in _IS_MINING_IS_A_SETTING else True

    def _fault_codes(self, messages: Iterable[MinerMessage]) -> tuple[str, ...]:
        codes = (
            fault_code(self._facts.make, message.code)
            for message in messages
            if str(message.severity) != str(MessageSeverity.Info)
        )
        return tuple(dict.fromkeys(codes))


def _ths(rate: HashRate | None) -> float | None:
    return ths(rate.value, rate.unit.value) if rate is not None else None


def _uptime_s(data: MinerData) -> float | None:
    try:
        return data.uptime.total_seconds() if data.uptime is not None else None
    except (ValueError, OverflowError):  # 9e18 s fit into Rust's duration and not into Python's
        return None


def _board(board: BoardData, make: str | None) -> RawBoard:
    return RawBoard(
        index=board.position,
        hashrate_ths=_ths(board.hashrate),
        expected_ths=positive(_ths(board.expected_hashrate)),
        board_temp_c=board_c(board.board_temperature, make),
        chip_temp_c=hottest((board.inlet_chip_temperature, board.outlet_chip_temperature)),
        chips_working=count(board.working_chips),
        chips_expected=count(board.expected_chips),
        frequency_mhz=positive(board.frequency),
        voltage_v=volts(board.voltage),
    )


def _power_mode(data: MinerData) -> str | None:
    """The mode's name; of a target in watts or TH/s and of a preset (whose name the operator gives) only the kind."""
    target = data.tuning_target
    if target is None:
        return None
    mode = target.target_mode
    return slug(str(mode)) if mode is not None else f"{slug(target.variant)} target"


def _firmware(family: str, release: str | None) -> str | None:
    """The release, with the family's name before it where that is not the maker's own."""
    if family.endswith("Stock"):
        return release
    return f"{family} {release}" if release and slug(family) not in slug(release) else release or family
