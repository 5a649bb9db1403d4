"""The pages of Bitmain's own firmware: what its page in a browser is made of, as JSON under `/cgi-bin/`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from agent.reading import Live, RawBoard
from agent.simulator.families.document import Document, ghs
from agent.simulator.identity import Identity
from agent.simulator.life import Life

CHIP_SPREAD_C: Final = (-5.0, -3.0, -2.0, 0.0)
BOARD_SPREAD_C: Final = (-3.0, -1.0, 1.0, 3.0)
"""How far a board's four sensors are from its temperature."""

Page = Callable[[Live, datetime], Document]


class Pages:
    """The pages of one machine, whose firmware was built then and whose boards are of this type."""

    def __init__(self, identity: Identity, life: Life, built: str, board_type: str) -> None:
        self._identity = identity
        self._life = life
        self._built = built
        self._board_type = board_type
        self._pages: dict[str, Page] = {
            "/cgi-bin/get_system_info.cgi": self._system_info,
            "/cgi-bin/get_network_info.cgi": self._network_info,
            "/cgi-bin/miner_type.cgi": self._miner_type,
            "/cgi-bin/get_miner_conf.cgi": self._miner_conf,
            "/cgi-bin/get_blink_status.cgi": lambda live, now: {"blink": False},
            "/cgi-bin/summary.cgi": self._summary,
            "/cgi-bin/stats.cgi": self.stats,
            "/cgi-bin/pools.cgi": self._pools,
        }

    def at(self, path: str) -> Page | None:
        return self._pages.get(path)

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
        return {"miner_type": self._life.model.name, "subtype": self._board_type, "fw_version": self._built}

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

    def _head(self, now: datetime) -> Document:
        return {
            "STATUS": {"STATUS": "S", "when": int(now.timestamp()), "Msg": "Stats", "api_version": "3.1"},
            "INFO": {"miner_version": "49.0.1.3", "CompileTime": self._built, "type": self._life.model.name},
        }

    def _rates(self, live: Live) -> Document:
        rate = ghs(live.hashrate_ths)
        return {
            "elapsed": int(live.uptime_s or 0),
            **dict.fromkeys(("rate_5s", "rate_30m", "rate_avg"), rate),
            "rate_ideal": ghs(self._life.model.nominal_ths),
            "rate_unit": "GH/s",
        }

    def _summary(self, live: Live, now: datetime) -> Document:
        summary = {**self._rates(live), "hw_all": 0, "bestshare": 0, "status": self._checks(now)}
        return {**self._head(now), "SUMMARY": [summary]}

    def stats(self, live: Live, now: datetime) -> Document:
        stats = {
            **self._rates(live),
            "chain_num": len(live.boards or ()),
            "fan_num": self._life.model.fans,
            "fan": list(live.fans_rpm or ()),
            "hwp_total": 0.0,
            "chain": [self._board(board) for board in live.boards or ()],
        }
        return {**self._head(now), "STATS": [stats]}

    def _pools(self, live: Live, now: datetime) -> Document:
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
        return {**self._head(now), "POOLS": pools}

    def _board(self, board: RawBoard) -> Document:
        chip_c, board_c = board.chip_temp_c or 0.0, board.board_temp_c or 0.0
        return {
            "index": board.index,
            "freq_avg": round(board.frequency_mhz or 0.0),
            "rate_ideal": ghs(board.expected_ths),
            "rate_real": ghs(board.hashrate_ths),
            "asic_num": board.chips_working,
            "temp_pic": [round(board_c - 10 + step) for step in BOARD_SPREAD_C],
            "temp_pcb": [round(board_c + step) for step in BOARD_SPREAD_C],
            "temp_chip": [round(chip_c + step) for step in CHIP_SPREAD_C],
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
