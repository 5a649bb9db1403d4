"""BitAxe: one chip, one fan, a JSON page on port 80, no password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.reading import Live, RawBoard
from agent.simulator.families.document import Document, ghs, host_of, rendered
from agent.simulator.identity import Identity
from agent.simulator.life import Life, Model
from agent.simulator.machine import Dialect, Request, WebAnswer, WebRequest

SUPRA: Final = Model(
    name="Supra",
    nominal_ths=1276 * 490 / 1e6,  # small cores × MHz: each makes one hash a cycle
    power_w=13.0,
    boards=1,
    chips=1,
    fans=1,
    fan_rpm=4100,
    fan_top_rpm=7000,
    chip_temp_c=61.0,
    frequency_mhz=490.0,
    voltage_v=5.1,
)
GAMMA: Final = Model(
    name="Gamma",
    nominal_ths=2040 * 525 / 1e6,
    power_w=17.5,
    boards=1,
    chips=1,
    fans=1,
    fan_rpm=4600,
    fan_top_rpm=7400,
    chip_temp_c=62.0,
    frequency_mhz=525.0,
    voltage_v=5.1,
)
MODELS: Final = (SUPRA, GAMMA)
_CHIP: Final = {SUPRA.name: ("BM1368", 1276, "402", "v2.4.5"), GAMMA.name: ("BM1370", 2040, "601", "v2.9.0")}
_NOTHING: Final = RawBoard(index=0)


class BitAxe:
    """The firmware of one machine."""

    ports: Mapping[str, int] = {"http": 80}
    dialect = Dialect(description="")
    login = None

    def __init__(self, identity: Identity, life: Life) -> None:
        self._identity = identity
        self._life = life

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        return None

    def v3(self, request: Request, now: datetime) -> bytes | None:
        return None

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        match request.path:
            case "/":
                page = b"<!doctype html><html><head><title>AxeOS</title></head><body></body></html>"
                return WebAnswer(200, page, {"Content-Type": "text/html"})
            case "/api/system/info":
                return _json(self._info(self._life.at(now), now))
            case "/api/system/asic":
                return _json(self._asic())
            case _:
                return None

    def truth(self, now: datetime) -> Live:
        """Two pools and no count of stale shares: it keeps no more."""
        live = self._life.at(now)
        pools = tuple(replace(pool, alive=None) for pool in (live.pools or ())[:2])
        return replace(live, inlet_temp_c=None, shares_stale=None, last_share_age_s=None, pools=pools)

    def _info(self, live: Live, now: datetime) -> Document:
        model, identity = self._life.model, self._identity
        chip, cores, board_version, version = _CHIP[model.name]
        board = next(iter(live.boards or ()), _NOTHING)
        first, second = (live.pools or ())[:2]
        power_w = live.power_w or 0.0
        return {
            "power": round(power_w, 2),
            "voltage": round(model.voltage_v * 1000),
            "current": round(1000 * power_w / model.voltage_v, 2),
            "temp": round(board.chip_temp_c or 0.0, 3),
            "vrTemp": round(board.board_temp_c or 0.0),
            "hashRate": ghs(live.hashrate_ths),
            "expectedHashrate": ghs(model.nominal_ths),
            "bestDiff": "483k",
            "bestSessionDiff": "12k",
            "freeHeap": 8_443_612,
            "coreVoltage": 1166,
            "coreVoltageActual": 1160,
            "frequency": round(model.frequency_mhz),
            "ssid": identity.ssid,
            "macAddr": identity.mac,
            "hostname": identity.host,
            "wifiStatus": "Connected!",
            "sharesAccepted": live.shares_accepted,
            "sharesRejected": live.shares_rejected,
            "uptimeSeconds": int(live.uptime_s or 0),
            "asicCount": len(live.boards or ()),
            "smallCoreCount": cores,
            "ASICModel": chip,
            "stratumURL": host_of(first),
            "stratumPort": 3333,
            "stratumUser": first.user,
            "fallbackStratumURL": host_of(second),
            "fallbackStratumPort": 3333,
            "fallbackStratumUser": second.user,
            "isUsingFallbackStratum": 0,
            "version": version,
            "idfVersion": "v5.4",
            "boardVersion": board_version,
            "runningPartition": "ota_0",
            "overheat_mode": int(self._life.is_overheated(now)),
            "autofanspeed": 1,
            "fanspeed": round(100 * max(live.fans_rpm or (0,)) / model.fan_top_rpm),
            "fanrpm": max(live.fans_rpm or (0,)),
        }

    def _asic(self) -> Document:
        chip, _, _, _ = _CHIP[self._life.model.name]
        return {
            "ASICModel": chip,
            "deviceModel": self._life.model.name,
            "asicCount": 1,
            "defaultFrequency": round(self._life.model.frequency_mhz),
            "frequencyOptions": [400, 450, 490, 525, 575],
            "defaultVoltage": 1166,
            "voltageOptions": [1100, 1150, 1166, 1200],
        }


def _json(document: Document) -> WebAnswer:
    return WebAnswer(200, rendered(document), {"Content-Type": "application/json"})
