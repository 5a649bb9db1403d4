"""What happens in the demo once what came before it was seen: no clock decides, so a slow computer shows all of it."""

from __future__ import annotations

from typing import Final

from tests.demo.snapshot import Snapshot
from tests.world.world import World

_STAY: Final = """
[[fault]]
fault = "garbage"
machines = "avalon:3"
[[fault]]
fault = "never_answers"
machines = "whatsminer:3"
"""
"""Two machines stay broken, to show that it hurts nobody."""
_PASS: Final = """
[[fault]]
fault = "overheating"
machines = "whatsminer:1"
[[fault]]
fault = "fan_stopped"
machines = "whatsminer:2"
[[fault]]
fault = "zero_hashrate"
machines = "avalon:1"
[[fault]]
fault = "unreachable"
machines = "avalon:2"
"""
"""These are told of, and recover."""
_PASSING: Final = {"chip_hot", "fan_stopped", "machine_not_hashing", "machine_offline"}


def rules(interval_s: float) -> str:
    """Settings that warn after a poll, of a machine that is gone after two, and tell soon."""
    numbers = {name: {"for_s": interval_s, "clear_for_s": interval_s} for name in _PASSING}
    numbers["machine_offline"]["for_s"] = 2 * interval_s
    numbers["chip_hot"]["critical_for_s"] = interval_s
    tables = {f"rules.{name}": values for name, values in sorted(numbers.items())}
    tables["notify"] = {"group_wait_s": interval_s / 2, "update_s": 2 * interval_s}
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for name, values in tables.items()
    )


class Story:
    """All are found, some break, people are told, most recover, people are told of that."""

    def __init__(self, world: World, machines: int) -> None:
        self._world = world
        self._machines = machines
        self._is_broken = self._is_mended = False
        self._told_of_trouble = 0
        self.is_told = False

    def go_on(self, now: Snapshot) -> None:
        """To be called with each look at the farm."""
        fired = {warning["rule"] for warning in now.warnings}
        over = {warning["rule"] for warning in now.warnings if warning.get("resolved_at") is not None}
        channels = {channel for channel, _ in now.messages}
        if not self._is_broken:
            if now.states["hashing"] == self._machines:
                self._world.suffer(_PASS + _STAY)
                self._is_broken = True
        elif not self._is_mended:
            if fired >= _PASSING and channels == {"e-mail", "SMS"}:
                self._world.suffer(_STAY)
                self._is_mended, self._told_of_trouble = True, len(now.messages)
        elif over >= _PASSING and len(now.messages) > self._told_of_trouble:
            self.is_told = True
