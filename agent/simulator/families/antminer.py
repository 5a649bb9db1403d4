"""Antminer with Bitmain's own firmware: cgminer on port 4028 and web pages behind digest root/root on port 80."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.reading import Live, RawBoard
from agent.simulator.families.antminer_pages import BOARD_SPREAD_C, CHIP_SPREAD_C, Pages
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
        self._pages = Pages(identity, life, self._built, _BOARD_TYPE[life.model.name])

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        command = str(request.get("command"))
        answer = self._pages.stats if command == "stats" and request.get("new_api") else self._answers.get(command)
        return None if answer is None else rendered(answer(self._life.at(now), now))

    def v3(self, request: Request, now: datetime) -> bytes | None:
        return None

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        if request.path == "/":
            return WebAnswer(200, b"<!doctype html><html><title>Antminer</title></html>", {"Content-Type": "text/html"})
        page = self._pages.at(request.path)
        return None if page is None else WebAnswer(200, rendered(page(self._life.at(now), now)), _JSON)

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
        f"temp_chip{number}": _dashed(chip_c, CHIP_SPREAD_C),
        f"temp_pcb{number}": _dashed(board_c, BOARD_SPREAD_C),
        f"temp_pic{number}": _dashed(board_c - 10, BOARD_SPREAD_C),
    }


def _dashed(middle_c: float, spread_c: tuple[float, ...]) -> str:
    return "-".join(str(round(middle_c + step)) for step in spread_c)
