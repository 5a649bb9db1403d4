"""What a machine of our own making does at a given moment: hashes, heat, fans, power, shares.

Nothing ticks. Everything follows from the seed, the moment, the start and the faults, so that a machine that
nobody asks costs nothing and two answers of one moment agree with each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.reading import Live, RawBoard, RawPool
from agent.simulator.contract import Contract
from agent.simulator.faults import Fault, Faults
from agent.simulator.noise import noise, trait

WARM_UP_TAU_S: Final = 20.0
HEAT_TAU_S: Final = 2.0  # far faster than real heat, so that a demo of a minute shows it
OVERHEATED_C: Final = 116.0
_SHARE_EVERY_S: Final = 6.0
_REJECTS: Final = 0.004
_STALES: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What the maker says of a model, and how it behaves at full load in a room of 25 °C."""

    name: str  # as the firmware writes it
    nominal_ths: float
    power_w: float
    boards: int
    chips: int  # of one board
    fans: int
    fan_rpm: int  # at full load
    fan_top_rpm: int
    chip_temp_c: float  # the hottest chip
    frequency_mhz: float
    voltage_v: float

    @property
    def board_ths(self) -> float:
        return self.nominal_ths / self.boards


class Life:
    """The life of one machine."""

    def __init__(self, model: Model, contract: Contract, faults: Faults, *, seed: int, started: datetime) -> None:
        self.model = model
        self._contract = contract
        self._faults = faults
        self._seed = seed
        self._started = started

    def at(self, now: datetime) -> Live:
        """Everything at one moment; boards that are lost are absent."""
        uptime_s = max(0.0, (now - self._faults.booted(self._started, now)).total_seconds())
        inlet_c = 24 + 6 * trait(self._seed, 1) + 1.5 * noise(self._seed, 2, now.timestamp(), 600)
        boards = self._boards(now, uptime_s, inlet_c)
        hashrate = sum(board.hashrate_ths or 0.0 for board in boards)
        share_s, share_age_s = self._shares(now, uptime_s)
        return Live(
            is_meant_to_mine=True,
            hashrate_ths=hashrate,
            expected_ths=self.model.nominal_ths,
            power_w=self._power(now, hashrate),
            uptime_s=uptime_s,
            inlet_temp_c=inlet_c,
            fans_rpm=self._fans(now, max((board.chip_temp_c or 0.0 for board in boards), default=inlet_c)),
            boards=boards,
            shares_accepted=int(share_s / _SHARE_EVERY_S * (1 - _REJECTS - _STALES)),
            shares_rejected=int(share_s / _SHARE_EVERY_S * _REJECTS),
            shares_stale=int(share_s / _SHARE_EVERY_S * _STALES),
            last_share_age_s=share_age_s,
            pools=self._pools(now),
        )

    def lost_board(self, now: datetime) -> int | None:
        """Which board is gone: the one that the fault names, or the last."""
        lost, last = self._faults.active(Fault.BOARD_LOST, now), self.model.boards - 1
        if lost is None:
            return None
        return last if lost.board is None else min(lost.board, last)

    def stopped_fan(self, now: datetime) -> int | None:
        """Which fan stands still."""
        stopped = self._faults.active(Fault.FAN_STOPPED, now)
        return None if stopped is None else min(stopped.fan, self.model.fans - 1)

    def is_overheated(self, now: datetime) -> bool:
        return self._faults.active(Fault.OVERHEATING, now) is not None

    def _boards(self, now: datetime, uptime_s: float, inlet_c: float) -> tuple[RawBoard, ...]:
        model, seed, at_s = self.model, self._seed, now.timestamp()
        warmth = 1 - math.exp(-uptime_s / WARM_UP_TAU_S)
        is_idle = self._faults.active(Fault.ZERO_HASHRATE, now) is not None
        heat = self._faults.strength(Fault.OVERHEATING, now, HEAT_TAU_S)
        stuffy_c = 6.0 if self.stopped_fan(now) is not None else 0.0
        lost = self.lost_board(now)
        boards = []
        for index in range(model.boards):
            if index == lost:
                continue
            load = (
                0.0
                if is_idle
                else warmth * (1 + 0.015 * trait(seed, 10 + index) + 0.01 * noise(seed, 20 + index, at_s))
            )
            normal_c = (
                inlet_c + (model.chip_temp_c - 25) * (0.3 + 0.7 * load) + stuffy_c + 1.5 * trait(seed, 30 + index)
            )
            chip_c = normal_c + heat * max(0.0, OVERHEATED_C - normal_c) + noise(seed, 40 + index, at_s)
            boards.append(
                RawBoard(
                    index=index,
                    hashrate_ths=model.board_ths * load,
                    expected_ths=model.board_ths,
                    board_temp_c=chip_c - 14 - trait(seed, 50 + index),
                    chip_temp_c=chip_c,
                    chips_working=model.chips,
                    chips_expected=model.chips,
                    frequency_mhz=model.frequency_mhz,
                    voltage_v=model.voltage_v,
                )
            )
        return tuple(boards)

    def _power(self, now: datetime, hashrate_ths: float) -> float:
        """Idle draw and a share that follows the hashrate; a worn machine needs some per cent more."""
        load = hashrate_ths / self.model.nominal_ths
        wear = 1 + 0.03 * trait(self._seed, 3) + 0.005 * noise(self._seed, 4, now.timestamp())
        return self.model.power_w * (0.03 + 0.97 * load) * wear

    def _fans(self, now: datetime, hottest_c: float) -> tuple[int, ...]:
        """Fans follow the hottest chip, up to what they can."""
        model, stopped = self.model, self.stopped_fan(now)
        wanted = model.fan_rpm * (0.4 + 0.6 * hottest_c / model.chip_temp_c) if hottest_c > 0 else 0.0
        speeds = (
            min(float(model.fan_top_rpm), wanted * (1 + 0.01 * noise(self._seed, 60 + fan, now.timestamp())))
            for fan in range(model.fans)
        )
        return tuple(0 if fan == stopped else round(speed / 10) * 10 for fan, speed in enumerate(speeds))

    def _shares(self, now: datetime, uptime_s: float) -> tuple[float, float]:
        """Seconds of full work since the start (never less than a moment ago), and the age of the last share."""
        boot = self._faults.booted(self._started, now)
        work_s = max(0.0, uptime_s - self._faults.seconds(Fault.ZERO_HASHRATE, boot, now))
        share_s = work_s - WARM_UP_TAU_S * (1 - math.exp(-work_s / WARM_UP_TAU_S))
        idle = self._faults.active(Fault.ZERO_HASHRATE, now)
        idle_s = 0.0 if idle is None else (now - max(idle.since, boot)).total_seconds()
        return share_s, share_s % _SHARE_EVERY_S + idle_s

    def _pools(self, now: datetime) -> tuple[RawPool, ...]:
        own, stranger = self._contract.own, self._contract.stranger
        pools = (stranger, *own[1:]) if self._faults.active(Fault.POOL_CHANGED, now) else own
        return tuple(
            RawPool(url=pool.url, user=pool.user, alive=True, active=place == 0) for place, pool in enumerate(pools)
        )
