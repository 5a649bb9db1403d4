"""Whatsminer with firmware before November 2024: btminer's API (version 2) on port 4028.

Averages over a minute, a quarter of an hour or since the start all say what holds now: readers differ in
which of them they take, and a simulated fault must show at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from agent.reading import Live, RawBoard
from agent.simulator.families.document import Document, cgminer_pools, mhs, rendered, status
from agent.simulator.identity import Identity
from agent.simulator.life import Life, Model
from agent.simulator.machine import Dialect, Request, WebAnswer, WebRequest

MODELS: Final = (
    Model(
        name="M30S++_VH50",
        nominal_ths=110.0,
        power_w=3410.0,
        boards=3,
        chips=74,
        fans=2,
        fan_rpm=5400,
        fan_top_rpm=7200,
        chip_temp_c=74.0,
        frequency_mhz=712.0,
        voltage_v=12.95,
    ),
    Model(
        name="M50_VH50",
        nominal_ths=118.0,
        power_w=3304.0,
        boards=3,
        chips=105,
        fans=2,
        fan_rpm=5100,
        fan_top_rpm=7200,
        chip_temp_c=72.0,
        frequency_mhz=690.0,
        voltage_v=12.6,
    ),
)
_FIRMWARE = "20230911.12.REL"
_API = "whatsminer v2.0.5"
_POWER_LIMIT_MARGIN = 1.05


class Whatsminer:
    """The firmware of one machine."""

    ports: Mapping[str, int] = {"rpc": 4028}
    dialect = Dialect(description=_API, terminator=b"", flat_errors=True)
    login = None

    def __init__(self, identity: Identity, life: Life) -> None:
        self._identity = identity
        self._life = life
        self._answers: dict[str, Callable[[Live, datetime], Document]] = {
            "summary": self._summary,
            "devs": self._devs,
            "edevs": self._devs,
            "pools": self._pools,
            "devdetails": self._devdetails,
            "version": self._version,
            "get_version": self._get_version,
            "get_miner_info": self._get_miner_info,
            "get_psu": self._get_psu,
            "get_error_code": self._get_error_code,
            "status": self._status,
        }

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        answer = self._answers.get(str(request.get("command", request.get("cmd"))))
        return None if answer is None else rendered(answer(self._life.at(now), now))

    def v3(self, request: Request, now: datetime) -> bytes | None:
        return None

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        return None

    def truth(self, now: datetime) -> Live:
        return self._life.at(now)

    def _summary(self, live: Live, now: datetime) -> Document:
        model, boards = self._life.model, live.boards or ()
        rate = mhs(live.hashrate_ths)
        temps = [board.chip_temp_c or 0.0 for board in boards] or [live.inlet_temp_c or 0.0]
        fan_in, fan_out = live.fans_rpm or (0, 0)
        power_w = round(live.power_w or 0.0)
        codes = error_codes(self._life, now)
        summary = {
            "Elapsed": int(live.uptime_s or 0),
            "Uptime": int(live.uptime_s or 0) + 31,
            **dict.fromkeys(("MHS av", "MHS 5s", "MHS 1m", "MHS 5m", "MHS 15m", "HS RT"), rate),
            "Target MHS": mhs(model.nominal_ths),
            "Factory GHS": round(model.nominal_ths * 1e3),
            "Accepted": live.shares_accepted,
            "Rejected": live.shares_rejected,
            "Stale": live.shares_stale,
            "Total MH": rate * (live.uptime_s or 0),
            "Temperature": max((round(board.board_temp_c or 0.0, 1) for board in boards), default=0.0),
            "Env Temp": round(live.inlet_temp_c or 0.0, 1),
            "Chip Temp Min": round(min(temps) - 12, 2),
            "Chip Temp Avg": round(sum(temps) / len(temps) - 5, 2),
            "Chip Temp Max": round(max(temps), 2),
            "freq_avg": round(model.frequency_mhz),
            "Target Freq": round(model.frequency_mhz),
            "Fan Speed In": fan_in,
            "Fan Speed Out": fan_out,
            "Power": power_w,
            "Power_RT": power_w,
            "Power Limit": round(model.power_w * _POWER_LIMIT_MARGIN),
            "Power Mode": "Normal",
            "Power Fanspeed": 8640,
            "Voltage": round(model.voltage_v * 100),
            "Hash Stable": True,
            "Liquid Cooling": False,
            "Security Mode": 0,
            "Firmware Version": f"'{_FIRMWARE}'",
            "CB Platform": "ALLWINNER_H3",
            "CB Version": "V10",
            "MAC": self._identity.mac,
            "Chip Data": self._identity.chip_data(),
            "Error Code Count": len(codes),
            **{f"Error Code {place}": code for place, code in enumerate(codes)},
        }
        return {"STATUS": status(11, "Summary", "btminer", now), "SUMMARY": [summary], "id": 1}

    def _devs(self, live: Live, now: datetime) -> Document:
        fan_in, fan_out = live.fans_rpm or (0, 0)
        devs = []
        for board in live.boards or ():
            chip_c = board.chip_temp_c or 0.0
            devs.append(
                {
                    "ASC": board.index,
                    "Slot": board.index,
                    "Name": "SM",
                    "ID": board.index,
                    "Enabled": "Y",
                    "Status": "Alive",
                    "Temperature": round(board.board_temp_c or 0.0, 1),
                    "Chip Temp Min": round(chip_c - 12, 2),
                    "Chip Temp Avg": round(chip_c - 5, 2),
                    "Chip Temp Max": round(chip_c, 2),
                    **dict.fromkeys(("MHS av", "MHS 5s", "MHS 1m", "MHS 5m", "MHS 15m"), mhs(board.hashrate_ths)),
                    "Factory GHS": round((board.expected_ths or 0.0) * 1e3),
                    "Accepted": (live.shares_accepted or 0) // self._life.model.boards,
                    "Rejected": 0,
                    "Hardware Errors": 0,
                    "Chip Frequency": round(board.frequency_mhz or 0.0),
                    "Effective Chips": board.chips_working,
                    "Fan Speed In": fan_in,
                    "Fan Speed Out": fan_out,
                    "Device Elapsed": int(live.uptime_s or 0),
                    "Last Share Time": int(now.timestamp() - (live.last_share_age_s or 0.0)),
                    "Upfreq Complete": 1,
                    "PCB SN": self._identity.board_serial(board.index),
                    "Chip Data": self._identity.chip_data(board.index),
                }
            )
        return {"STATUS": status(9, f"{len(devs)} ASC(s)", "btminer", now), "DEVS": devs, "id": 1}

    def _pools(self, live: Live, now: datetime) -> Document:
        pools = cgminer_pools(live, now, first=1)
        return {"STATUS": status(7, f"{len(pools)} Pool(s)", "btminer", now), "POOLS": pools, "id": 1}

    def _devdetails(self, live: Live, now: datetime) -> Document:
        details = [_detail(board, self._life.model.name) for board in live.boards or ()]
        return {"STATUS": status(69, "Device Details", "btminer", now), "DEVDETAILS": details, "id": 1}

    def _version(self, live: Live, now: datetime) -> Document:
        version = {"CGMiner": "4.9.2", "API": "3.7"}
        return {"STATUS": status(22, "CGMiner versions", "btminer", now), "VERSION": [version], "id": 1}

    def _get_version(self, live: Live, now: datetime) -> Document:
        return _flat({"api_ver": _API, "fw_ver": _FIRMWARE, "platform": "H3", "chip": "K2"}, now)

    def _get_miner_info(self, live: Live, now: datetime) -> Document:
        identity = self._identity
        return _flat(
            {
                "ip": identity.address,
                "proto": "dhcp",
                "netmask": "255.0.0.0",
                "mac": identity.mac,
                "hostname": identity.host,
                "minersn": identity.serial,
                "ledstat": "auto",
            },
            now,
        )

    def _get_psu(self, live: Live, now: datetime) -> Document:
        return _flat(
            {"name": "P222B", "model": "P222B", "fan_speed": "8640", "serial_no": self._identity.psu_serial}, now
        )

    def _get_error_code(self, live: Live, now: datetime) -> Document:
        stamp = now.strftime("%Y-%m-%d %H:%M:%S")
        return _flat({"error_code": [{str(code): stamp} for code in error_codes(self._life, now)]}, now)

    def _status(self, live: Live, now: datetime) -> Document:
        return _flat({"btmineroff": "false", "mineroff": "false", "Firmware Version": f"'{_FIRMWARE}'"}, now)


def error_codes(life: Life, now: datetime) -> tuple[int, ...]:
    """Whatsminer's own codes for what is wrong now: 110/111 fan in/out, 35n board n too hot, 53n board n not found."""
    codes = []
    stopped, lost = life.stopped_fan(now), life.lost_board(now)
    if stopped is not None:
        codes.append(110 + stopped)
    if life.is_overheated(now):
        codes.append(350)
    if lost is not None:
        codes.append(530 + lost)
    return tuple(codes)


def _detail(board: RawBoard, model: str) -> Document:
    return {
        "DEVDETAILS": board.index,
        "Name": "SM",
        "ID": board.index,
        "Driver": "bitmicro",
        "Kernel": "",
        "Model": model,
    }


def _flat(message: Document, now: datetime) -> Document:
    """The answer of btminer's own commands, which is not cgminer's."""
    return {"STATUS": "S", "When": int(now.timestamp()), "Code": 131, "Msg": message, "Description": _API}
