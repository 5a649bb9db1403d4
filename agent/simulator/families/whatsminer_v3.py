"""Whatsminer with firmware of November 2024 and later: version 3 on port 4433, and on 4028 only who it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.reading import Live
from agent.simulator.families.document import Document, rendered, status
from agent.simulator.families.whatsminer import error_codes
from agent.simulator.identity import Identity, tag
from agent.simulator.life import Life, Model
from agent.simulator.machine import Dialect, Request, WebAnswer, WebRequest

MODELS: Final = (
    Model(
        name="M60S_VK30",
        nominal_ths=186.0,
        power_w=3441.0,
        boards=3,
        chips=245,
        fans=2,
        fan_rpm=4800,
        fan_top_rpm=6900,
        chip_temp_c=73.0,
        frequency_mhz=640.0,
        voltage_v=14.4,
    ),
)
_FIRMWARE = "20250214.16.Rel"
_API = "whatsminer v3.0.3"


class WhatsminerV3:
    """The firmware of one machine."""

    ports: Mapping[str, int] = {"rpc": 4028, "whatsminer_v3": 4433}
    dialect = Dialect(description=_API, terminator=b"", flat_errors=True)
    login = None

    def __init__(self, identity: Identity, life: Life) -> None:
        self._identity = identity
        self._life = life
        self._status_parts: dict[str, Callable[[Live, datetime], object]] = {
            "summary": self._summary,
            "edevs": self._edevs,
            "pools": self._pools,
        }

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        match request.get("command", request.get("cmd")):
            case "get_version":
                message = {"api_ver": _API, "fw_ver": _FIRMWARE, "platform": "H616", "chip": "K5"}
                return rendered(
                    {"STATUS": "S", "When": int(now.timestamp()), "Code": 131, "Msg": message, "Description": _API}
                )
            case "devdetails":
                boards = range(self._life.model.boards)
                details = [
                    {
                        "DEVDETAILS": index,
                        "Name": "SM",
                        "ID": index,
                        "Driver": "bitmicro",
                        "Model": self._life.model.name,
                    }
                    for index in boards
                ]
                return rendered(
                    {"STATUS": status(69, "Device Details", "btminer", now), "DEVDETAILS": details, "id": 1}
                )
            case _:
                return None

    def v3(self, request: Request, now: datetime) -> bytes | None:
        live, param = self._life.at(now), request.get("param")
        match request.get("cmd"):
            case "get.device.info":
                info = self._device_info(live, now)
                message: Document = info if param is None else {str(param): info.get(str(param), "")}
            case "get.miner.status" if param in self._status_parts:
                message = {str(param): self._status_parts[str(param)](live, now)}
            case "get.miner.setting":
                message = {"power-limit": self._power_limit_w, "power-mode": "normal", "fast-boot": "disable"}
            case _:
                return None
        return rendered({"code": 0, "when": int(now.timestamp()), "msg": message, "desc": ""})

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        return None

    def truth(self, now: datetime) -> Live:
        """It counts no shares, or tells nobody."""
        return replace(self._life.at(now), shares_accepted=None, shares_rejected=None, shares_stale=None)

    @property
    def _power_limit_w(self) -> int:
        return round(self._life.model.power_w * 1.05)

    def _device_info(self, live: Live, now: datetime) -> Document:
        identity, model = self._identity, self._life.model
        boards = range(model.boards)
        return {
            "network": {
                "ip": identity.address,
                "proto": "dhcp",
                "netmask": "255.0.0.0",
                "mac": identity.mac,
                "hostname": identity.host,
            },
            "miner": {
                "working": "true",
                "type": model.name,
                "hash-board": str(model.boards),
                "cointype": "BTC",
                "miner-sn": identity.serial,
                "liquid-cooling": "false",
                **{f"pcbsn{index}": identity.board_serial(index) for index in boards},
                **{f"chipdata{index}": identity.chip_data(index) for index in boards},
            },
            "hardware": {"boards": model.boards},
            "system": {
                "api": "3.0.3",
                "platform": "H616",
                "fwversion": _FIRMWARE,
                "control-board-version": "CB6V10",
                "ledstatus": "auto",
            },
            "power": {
                "type": "P566B",
                "mode": "normal",
                "fanspeed": 8320,
                "pin": round(live.power_w or 0.0),
                "serial-number": identity.psu_serial,
            },
            "error-code": [
                {str(code): now.strftime("%Y-%m-%d %H:%M:%S"), "reason": "see manual"}
                for code in error_codes(self._life, now)
            ],
            "salt": tag(identity.seed, "salt", 8),
        }

    def _summary(self, live: Live, now: datetime) -> Document:
        model, temps = self._life.model, [board.chip_temp_c or 0.0 for board in live.boards or ()]
        fan_in, fan_out = live.fans_rpm or (0, 0)
        rate = round(live.hashrate_ths or 0.0, 3)
        return {
            "elapsed": int(live.uptime_s or 0),
            "bootup-time": int(live.uptime_s or 0) + 31,
            "freq-avg": round(model.frequency_mhz),
            "target-freq": round(model.frequency_mhz),
            **dict.fromkeys(("hash-average", "hash-1min", "hash-15min", "hash-realtime"), rate),
            "factory-hash": round(model.nominal_ths, 3),
            "power-realtime": round(live.power_w or 0.0),
            "power-5min": round(live.power_w or 0.0),
            "power-limit": self._power_limit_w,
            "power-rate": round((live.power_w or 0.0) / rate, 2) if rate else 0.0,
            "environment-temperature": round(live.inlet_temp_c or 0.0, 1),
            "board-temperature": [round(board.board_temp_c or 0.0, 1) for board in live.boards or ()],
            "chip-temp-min": round(min(temps, default=0.0) - 12, 1),
            "chip-temp-avg": round(sum(temps) / max(1, len(temps)) - 5, 1),
            "chip-temp-max": round(max(temps, default=0.0), 1),
            "fan-speed-in": fan_in,
            "fan-speed-out": fan_out,
        }

    def _edevs(self, live: Live, now: datetime) -> list[Document]:
        return [
            {
                "id": board.index,
                "slot": board.index,
                "hash-average": round(board.hashrate_ths or 0.0, 3),
                "factory-hash": round(board.expected_ths or 0.0, 3),
                "freq": round(board.frequency_mhz or 0.0),
                "effective-chips": board.chips_working,
                "chip-temp-min": round((board.chip_temp_c or 0.0) - 12, 1),
                "chip-temp-avg": round((board.chip_temp_c or 0.0) - 5, 1),
                "chip-temp-max": round(board.chip_temp_c or 0.0, 1),
                "chip-vol-diff": 8,
            }
            for board in live.boards or ()
        ]

    def _pools(self, live: Live, now: datetime) -> list[Document]:
        return [
            {
                "id": place + 1,
                "url": pool.url,
                "account": pool.user,
                "status": "alive" if pool.alive else "dead",
                "stratum-active": bool(pool.active),
                "reject-rate": 0.4 if pool.active else 0.0,
                "last-share-time": int(live.last_share_age_s or 0) if pool.active else 0,
            }
            for place, pool in enumerate(live.pools or ())
        ]
