"""Avalon: cgminer on port 4028 with a driver that packs everything that matters into one string, `MM ID0`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from agent.reading import Live
from agent.simulator.families.document import Document, cgminer_pools, ghs, mhs, rendered, status
from agent.simulator.identity import Identity
from agent.simulator.life import Life, Model
from agent.simulator.machine import Dialect, Request, WebAnswer, WebRequest
from agent.simulator.noise import trait

MODELS: Final = (
    Model(
        name="15-194",
        nominal_ths=194.0,
        power_w=3590.0,
        boards=3,
        chips=160,
        fans=2,
        fan_rpm=4300,
        fan_top_rpm=6600,
        chip_temp_c=78.0,
        frequency_mhz=346.0,
        voltage_v=2.86,
    ),
    Model(
        name="1246-90",
        nominal_ths=90.0,
        power_w=3420.0,
        boards=3,
        chips=120,
        fans=4,
        fan_rpm=5100,
        fan_top_rpm=7200,
        chip_temp_c=76.0,
        frequency_mhz=562.0,
        voltage_v=3.1,
    ),
)
_DESCRIPTION = "cgminer 4.11.1"
_DC_SHARE = 0.945  # what the power supply gives out of what it takes from the wall


class Avalon:
    """The firmware of one machine."""

    ports: Mapping[str, int] = {"rpc": 4028}
    dialect = Dialect(description=_DESCRIPTION)
    login = None

    def __init__(self, identity: Identity, life: Life) -> None:
        self._identity = identity
        self._life = life
        self._spreads: dict[int, tuple[int, ...]] = {}
        self._build = "24071801_25462b2_9ddf522" if life.model.name.startswith("15-") else "21110401_4ec6bb0_61407fa"
        self._answers: dict[str, Callable[[Live, datetime], Document]] = {
            "version": self._version,
            "summary": self._summary,
            "devs": self._devs,
            "devdetails": self._devdetails,
            "pools": self._pools,
            "stats": self._stats,
            "estats": self._stats,
        }

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        answer = self._answers.get(str(request.get("command")))
        return None if answer is None else rendered(answer(self._life.at(now), now))

    def v3(self, request: Request, now: datetime) -> bytes | None:
        return None

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        return None

    def truth(self, now: datetime) -> Live:
        return self._life.at(now)

    def _version(self, live: Live, now: datetime) -> Document:
        model = self._life.model.name
        version = {
            "CGMiner": "4.11.1",
            "API": "3.7",
            "PROD": f"AvalonMiner {model}",
            "MODEL": model,
            "HWTYPE": "MM4v2_X3" if model.startswith("15-") else "MM3v2_X3",
            "SWTYPE": "MM319",
            "VERSION": self._build,
            "LOADER": "d0d779de.00",
            "DNA": self._identity.device_id,
            "MAC": self._identity.mac_bare,
            "UPAPI": "2",
        }
        return {"STATUS": status(22, "CGMiner versions", _DESCRIPTION, now), "VERSION": [version], "id": 1}

    def _summary(self, live: Live, now: datetime) -> Document:
        rate = mhs(live.hashrate_ths)
        summary = {
            "Elapsed": int(live.uptime_s or 0),
            **dict.fromkeys(("MHS av", "MHS 5s", "MHS 1m", "MHS 5m", "MHS 15m"), rate),
            "Found Blocks": 0,
            "Accepted": live.shares_accepted,
            "Rejected": live.shares_rejected,
            "Stale": live.shares_stale,
            "Hardware Errors": 0,
            "Utility": round(60 * (live.shares_accepted or 0) / max(1.0, live.uptime_s or 0.0), 2),
            "Total MH": rate * (live.uptime_s or 0.0),
        }
        return {"STATUS": status(11, "Summary", _DESCRIPTION, now), "SUMMARY": [summary], "id": 1}

    def _devs(self, live: Live, now: datetime) -> Document:
        device = {
            "ASC": 0,
            "Name": "AVA10",
            "ID": 0,
            "Enabled": "Y",
            "Status": "Alive",
            "Temperature": -273.0,
            **dict.fromkeys(("MHS av", "MHS 30s", "MHS 1m", "MHS 5m", "MHS 15m"), mhs(live.hashrate_ths)),
            "Accepted": live.shares_accepted,
            "Rejected": live.shares_rejected,
            "Hardware Errors": 0,
            "Last Share Time": int(now.timestamp() - (live.last_share_age_s or 0.0)),
            "Device Elapsed": int(live.uptime_s or 0),
        }
        return {"STATUS": status(9, "1 ASC(s)", _DESCRIPTION, now), "DEVS": [device], "id": 1}

    def _devdetails(self, live: Live, now: datetime) -> Document:
        detail = {"DEVDETAILS": 0, "Name": "AVALON", "ID": 0, "Driver": "avalon", "Kernel": "", "Model": ""}
        return {"STATUS": status(69, "Device Details", _DESCRIPTION, now), "DEVDETAILS": [detail], "id": 1}

    def _pools(self, live: Live, now: datetime) -> Document:
        pools = cgminer_pools(live, now)
        return {"STATUS": status(7, f"{len(pools)} Pool(s)", _DESCRIPTION, now), "POOLS": pools, "id": 1}

    def _stats(self, live: Live, now: datetime) -> Document:
        uptime_s = int(live.uptime_s or 0)
        device = {
            "STATS": 0,
            "ID": "AVA100",
            "Elapsed": uptime_s,
            "MM ID0": self._packed(live),
            "MM Count": 1,
            "Smart Speed": 1,
            "Nonce Mask": 25,
        }
        pools = [
            {
                "STATS": place + 1,
                "ID": f"POOL{place}",
                "Elapsed": uptime_s,
                "Work Diff": 65536.0 if pool.active else 0.0,
            }
            for place, pool in enumerate(live.pools or ())
        ]
        return {"STATUS": status(70, "CGMiner stats", _DESCRIPTION, now), "STATS": [device, *pools], "id": 1}

    def _packed(self, live: Live) -> str:
        """Everything about the boards as `Name[values]`, lists parted by spaces; a lost board is zeros."""
        model, boards = self._life.model, {board.index: board for board in live.boards or ()}
        slots = range(model.boards)
        rates = [ghs(boards[slot].hashrate_ths) if slot in boards else 0.0 for slot in slots]
        hottest = [round(boards[slot].chip_temp_c or 0.0) if slot in boards else 0 for slot in slots]
        mean = [round((boards[slot].chip_temp_c or 0.0) - 8) if slot in boards else 0 for slot in slots]
        wall_w = round(live.power_w or 0.0)
        millivolts = round(model.voltage_v * 100)
        frequency = f"{model.frequency_mhz:.2f}"
        fields: dict[str, object] = {
            "Ver": f"{model.name}-{self._build}",
            "DNA": self._identity.device_id,
            "SYSTEMSTATU": f"Work: In Work, Hash Board: {len(boards)} ",
            "Elapsed": int(live.uptime_s or 0),
            "Temp": round(live.inlet_temp_c or 0.0),
            "TMax": max(hottest),
            "TAvg": round(sum(mean) / len(mean)),
            **{f"Fan{fan + 1}": speed for fan, speed in enumerate(live.fans_rpm or ())},
            "FanR": f"{round(100 * max(live.fans_rpm or (0,)) / model.fan_top_rpm)}%",
            "Vo": millivolts,
            "PS": f"0 1209 1187 {millivolts} {round(wall_w * _DC_SHARE)} 1188 {wall_w}",
            "WALLPOWER": wall_w,
            "GHSspd": ghs(live.hashrate_ths),
            "DHspd": "1.2%",
            "GHSmm": ghs(live.expected_ths),
            "GHSavg": ghs(live.hashrate_ths),
            "Freq": frequency,
            "Led": 0,
            "MGHS": _listed(rates),
            "MTmax": _listed(hottest),
            "MTavg": _listed(mean),
            "MVavg": _listed([float(millivolts) if slot in boards else 0.0 for slot in slots]),
            "TA": model.chips * len(boards),
            "Core": "A3197S",
            "POWS": 0,
            **{
                f"SF{slot}": _listed([round(model.frequency_mhz) + step for step in (-40, -20, 0, 20)])
                for slot in slots
            },
        }
        for slot in slots:
            fields |= self._chips(slot, boards[slot].chip_temp_c or 0.0) if slot in boards else _no_chips(slot)
        fields |= {"CRC": _listed([0] * model.boards), "MPO": round(model.power_w * _DC_SHARE), "WORKMODE": 1}
        return " ".join(f"{name}[{value}]" for name, value in fields.items())

    def _chips(self, slot: int, hottest_c: float) -> dict[str, object]:
        """Temperature, voltage and work of each chip; the first is the hottest."""
        cooler_c = self._spread(slot)
        hottest, millivolts = round(hottest_c), round(self._life.model.voltage_v * 100)
        return {
            f"PVT_T{slot}": _listed([hottest - below for below in cooler_c]),
            f"PVT_V{slot}": _listed([millivolts - 3 + below for below in cooler_c]),
            f"MW{slot}": _listed([20 + below for below in cooler_c]),
        }

    def _spread(self, slot: int) -> tuple[int, ...]:
        """By how much each chip of a board is cooler than the hottest; kept, for it is asked with every poll."""
        if slot not in self._spreads:
            seed, chips = self._identity.seed, range(1, self._life.model.chips)
            self._spreads[slot] = (0, *(round(3 + 3 * trait(seed, 70 + slot, chip)) for chip in chips))
        return self._spreads[slot]


def _listed(values: list[int] | list[float]) -> str:
    return " ".join(map(str, values))


def _no_chips(slot: int) -> dict[str, object]:
    return {f"PVT_T{slot}": "", f"PVT_V{slot}": "", f"MW{slot}": ""}
