"""Antminer with Bitmain's own firmware: cgminer on port 4028 and web pages behind digest root/root on port 80."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.reading import Live, RawBoard
from agent.simulator.families.document import Document, cgminer_pools, ghs, rendered, status
from agent.simulator.identity import Identity
from agent.simulator.life import Life, Model
from agent.simulator.machine import Dialect, Login, Request, WebAnswer, WebRequest

S19J_PRO: Final = Model(
    name="Antminer S19j Pro",
    nominal_ths=104.0,
    power_w=3068.0,
    boards=3,
    chips=126,
    fans=4,
    fan_rpm=5400,
    fan_top_rpm=7200,
    chip_temp_c=72.0,
    frequency_mhz=545.0,
    voltage_v=13.6,
)
S21: Final = Model(
    name="Antminer S21",
    nominal_ths=200.0,
    power_w=3500.0,
    boards=3,
    chips=108,
    fans=4,
    fan_rpm=4900,
    fan_top_rpm=6800,
    chip_temp_c=70.0,
    frequency_mhz=490.0,
    voltage_v=13.1,
)
MODELS: Final = (S19J_PRO, S21)
_BUILT: Final = {S19J_PRO.name: "Tue Nov  1 14:22:08 CST 2022", S21.name: "Fri Mar 22 10:05:21 CST 2024"}
_BOARD_TYPE: Final = {S19J_PRO.name: "AMLCtrl_BHB42601", S21.name: "AMLCtrl_BHB68606"}
_DESCRIPTION = "cgminer 1.0.0"
_MOST_BOARDS = 4  # slots that the control board has, used or not
_JSON = {"Content-Type": "application/json"}
_CHIP_SPREAD_C = (-5.0, -3.0, -2.0, 0.0)
_BOARD_SPREAD_C = (-3.0, -1.0, 1.0, 3.0)


class Antminer:
    """The firmware of one machine. Firmware of 2022 does not say what the machine draws, that of 2024 does."""

    ports: Mapping[str, int] = {"rpc": 4028, "http": 80}
    dialect = Dialect(description=_DESCRIPTION, multicommand=False)
    login = Login("antMiner Configuration", "root", "root")

    def __init__(self, identity: Identity, life: Life) -> None:
        self._identity = identity
        self._life = life
        self._built = _BUILT[life.model.name]
        self._tells_power = life.model is S21
        self._answers: dict[str, Callable[[Live, datetime], Document]] = {
            "version": self._version,
            "summary": self._summary,
            "devs": self._devs,
            "stats": self._stats,
            "pools": self._pools,
        }
        self._pages: dict[str, Callable[[Live, datetime], Document]] = {
            "get_system_info": self._system_info,
            "get_network_info": self._network_info,
            "miner_type": self._miner_type,
            "get_miner_conf": self._miner_conf,
            "get_blink_status": lambda live, now: {"blink": False},
            "summary": self._web_summary,
            "stats": self._web_stats,
            "pools": self._web_pools,
        }

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        command = str(request.get("command"))
        answer = self._web_stats if command == "stats" and request.get("new_api") else self._answers.get(command)
        return None if answer is None else rendered(answer(self._life.at(now), now))

    def v3(self, request: Request, now: datetime) -> bytes | None:
        return None

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        if request.path == "/":
            return WebAnswer(200, b"<!doctype html><html><title>Antminer</title></html>", {"Content-Type": "text/html"})
        name = request.path.removeprefix("/cgi-bin/").removesuffix(".cgi")
        page = self._pages.get(name)
        if page is None or request.path != f"/cgi-bin/{name}.cgi":
            return None
        return WebAnswer(200, rendered(page(self._life.at(now), now)), _JSON)

    def truth(self, now: datetime) -> Live:
        live = self._life.at(now)
        return replace(live, power_w=live.power_w if self._tells_power else None, inlet_temp_c=None)

    def _version(self, live: Live, now: datetime) -> Document:
        version = {
            "BMMiner": "1.0.0",
            "API": "3.1",
            "Miner": "49.0.1.3",
            "CompileTime": self._built,
            "Type": self._life.model.name,
        }
        return {"STATUS": status(22, "CGMiner versions", _DESCRIPTION, now), "VERSION": [version], "id": 1}

    def _summary(self, live: Live, now: datetime) -> Document:
        summary = {
            "Elapsed": int(live.uptime_s or 0),
            **dict.fromkeys(("GHS 5s", "GHS av", "GHS 30m"), ghs(live.hashrate_ths)),
            "Found Blocks": 0,
            "Accepted": live.shares_accepted,
            "Rejected": live.shares_rejected,
            "Stale": live.shares_stale,
            "Hardware Errors": 0,
            "Last getwork": int(now.timestamp()),
        }
        return {"STATUS": status(11, "Summary", _DESCRIPTION, now), "SUMMARY": [summary], "id": 1}

    def _devs(self, live: Live, now: datetime) -> Document:
        device = {
            "ASC": 0,
            "Name": "BTM_SOC",
            "ID": 0,
            "Enabled": "Y",
            "Status": "Alive",
            "Device Elapsed": int(live.uptime_s or 0),
        }
        return {"STATUS": status(9, "1 ASC(s)", _DESCRIPTION, now), "DEVS": [device], "id": 1}

    def _pools(self, live: Live, now: datetime) -> Document:
        pools = cgminer_pools(live, now)
        return {"STATUS": status(7, f"{len(pools)} Pool(s)", _DESCRIPTION, now), "POOLS": pools, "id": 1}

    def _stats(self, live: Live, now: datetime) -> Document:
        model, built = self._life.model, self._built
        who = {"BMMiner": "1.0.0", "Miner": "49.0.1.3", "CompileTime": built, "Type": model.name}
        device: Document = {
            "STATS": 0,
            "ID": "BTM_SOC0",
            "Elapsed": int(live.uptime_s or 0),
            "Mode": 2,
            "GHS 5s": ghs(live.hashrate_ths),
            "GHS av": ghs(live.hashrate_ths),
            "rate_30m": ghs(live.hashrate_ths),
            "total rate": ghs(live.hashrate_ths),
            "total_rateideal": ghs(model.nominal_ths),
            "rate_unit": "GH",
            "miner_count": len(live.boards or ()),
            "miner_version": "49.0.1.3",
            "miner_id": self._identity.device_id,
            "frequency": round(model.frequency_mhz),
            "total_freqavg": round(model.frequency_mhz),
            "total_acn": sum(board.chips_working or 0 for board in live.boards or ()),
            "fan_num": model.fans,
            **{f"fan{fan + 1}": rpm for fan, rpm in enumerate(live.fans_rpm or ())},
            "temp_num": len(live.boards or ()),
            "temp_max": round(max((board.chip_temp_c or 0.0 for board in live.boards or ()), default=0.0)),
            "no_matching_work": 0,
        }
        if self._tells_power:
            device["chain_power"] = f"{round(live.power_w or 0.0)} W"
        boards = {board.index: board for board in live.boards or ()}
        for slot in range(_MOST_BOARDS):
            device |= _chain(slot + 1, boards.get(slot))
        return {"STATUS": status(70, "CGMiner stats", _DESCRIPTION, now), "STATS": [who, device], "id": 1}

    def _system_info(self, live: Live, now: datetime) -> Document:
        return {
            "minertype": self._life.model.name,
            **self._network_info(live, now),
            "gateway": "",
            "dnsservers": "",
            "system_mode": "GNU/Linux",
            "system_kernel_version": "Linux 4.9.113 #1 SMP PREEMPT",
            "system_filesystem_version": self._built,
            "firmware_type": "Release",
            "serinum": self._identity.serial,
        }

    def _network_info(self, live: Live, now: datetime) -> Document:
        return {
            "nettype": "DHCP",
            "netdevice": "eth0",
            "macaddr": self._identity.mac,
            "hostname": self._identity.host,
            "ipaddress": self._identity.address,
            "netmask": "255.0.0.0",
        }

    def _miner_type(self, live: Live, now: datetime) -> Document:
        name = self._life.model.name
        return {"miner_type": name, "subtype": _BOARD_TYPE[name], "fw_version": self._built}

    def _miner_conf(self, live: Live, now: datetime) -> Document:
        return {
            "pools": [{"url": pool.url, "user": pool.user, "pass": "x"} for pool in live.pools or ()],
            "api-listen": True,
            "api-network": True,
            "api-allow": "A:0/0,W:*",
            "bitmain-fan-ctrl": False,
            "bitmain-fan-pwm": "100",
            "bitmain-freq": str(round(self._life.model.frequency_mhz)),
            "bitmain-voltage": str(round(self._life.model.voltage_v * 100)),
            "bitmain-work-mode": "0",
            "bitmain-freq-level": "",
        }

    def _web_head(self, now: datetime) -> Document:
        return {
            "STATUS": {"STATUS": "S", "when": int(now.timestamp()), "Msg": "Stats", "api_version": "3.1"},
            "INFO": {"miner_version": "49.0.1.3", "CompileTime": self._built, "type": self._life.model.name},
        }

    def _web_rates(self, live: Live) -> Document:
        rate = ghs(live.hashrate_ths)
        return {
            "elapsed": int(live.uptime_s or 0),
            **dict.fromkeys(("rate_5s", "rate_30m", "rate_avg"), rate),
            "rate_ideal": ghs(self._life.model.nominal_ths),
            "rate_unit": "GH/s",
        }

    def _web_summary(self, live: Live, now: datetime) -> Document:
        summary = {**self._web_rates(live), "hw_all": 0, "bestshare": 0, "status": self._checks(now)}
        return {**self._web_head(now), "SUMMARY": [summary]}

    def _web_stats(self, live: Live, now: datetime) -> Document:
        stats = {
            **self._web_rates(live),
            "chain_num": len(live.boards or ()),
            "fan_num": self._life.model.fans,
            "fan": list(live.fans_rpm or ()),
            "hwp_total": 0.0,
            "chain": [self._web_chain(board) for board in live.boards or ()],
        }
        return {**self._web_head(now), "STATS": [stats]}

    def _web_pools(self, live: Live, now: datetime) -> Document:
        pools = [
            {
                "index": place,
                "url": pool.url,
                "user": pool.user,
                "status": "Alive" if pool.alive else "Dead",
                "priority": place,
                "accepted": live.shares_accepted if pool.active else 0,
                "rejected": live.shares_rejected if pool.active else 0,
                "stale": live.shares_stale if pool.active else 0,
            }
            for place, pool in enumerate(live.pools or ())
        ]
        return {**self._web_head(now), "POOLS": pools}

    def _web_chain(self, board: RawBoard) -> Document:
        chip_c, board_c = board.chip_temp_c or 0.0, board.board_temp_c or 0.0
        return {
            "index": board.index,
            "freq_avg": round(board.frequency_mhz or 0.0),
            "rate_ideal": ghs(board.expected_ths),
            "rate_real": ghs(board.hashrate_ths),
            "asic_num": board.chips_working,
            "temp_pic": [round(board_c - 10 + step) for step in _BOARD_SPREAD_C],
            "temp_pcb": [round(board_c + step) for step in _BOARD_SPREAD_C],
            "temp_chip": [round(chip_c + step) for step in _CHIP_SPREAD_C],
            "hw": 0,
            "eeprom_loaded": True,
            "sn": self._identity.board_serial(board.index),
            "hwp": 0.0,
        }

    def _checks(self, now: datetime) -> list[Document]:
        """What the firmware's own page shows as traffic lights: rate, network, fans, temperature."""
        wrong = {
            "fans": "ERROR_FAN_LOST: fan lost" if self._life.stopped_fan(now) is not None else "",
            "temp": "ERROR_TEMP_TOO_HIGH: over max temp" if self._life.is_overheated(now) else "",
            "rate": "ERROR_SOC_INIT: chain lost" if self._life.lost_board(now) is not None else "",
            "network": "",
        }
        return [
            {"type": name, "status": "e" if message else "s", "code": 1 if message else 0, "msg": message}
            for name, message in wrong.items()
        ]


def _chain(number: int, board: RawBoard | None) -> Document:
    """The fields of one slot, numbered from 1; an empty slot has zeros and empty strings."""
    if board is None:
        return {
            f"chain_acn{number}": 0,
            f"chain_acs{number}": "",
            f"chain_rate{number}": "",
            f"chain_hw{number}": 0,
            f"freq{number}": 0,
            f"temp{number}": 0,
            f"temp2_{number}": 0,
            **{f"temp_{kind}{number}": "0-0-0-0" for kind in ("chip", "pcb", "pic")},
        }
    chip_c, board_c, chips = board.chip_temp_c or 0.0, board.board_temp_c or 0.0, board.chips_working or 0
    return {
        f"chain_acn{number}": chips,
        f"chain_acs{number}": " " + " ".join(["ooo"] * (chips // 3)),
        f"chain_rate{number}": f"{ghs(board.hashrate_ths):.2f}",
        f"chain_hw{number}": 0,
        f"freq{number}": round(board.frequency_mhz or 0.0),
        f"temp{number}": round(board_c),
        f"temp2_{number}": round(chip_c),
        f"temp_chip{number}": _dashed(chip_c, _CHIP_SPREAD_C),
        f"temp_pcb{number}": _dashed(board_c, _BOARD_SPREAD_C),
        f"temp_pic{number}": _dashed(board_c - 10, _BOARD_SPREAD_C),
    }


def _dashed(middle_c: float, spread_c: tuple[float, ...]) -> str:
    return "-".join(str(round(middle_c + step)) for step in spread_c)
