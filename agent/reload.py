"""Which settings take effect while the agent runs, and which need a restart.

The others are built into parts that hold a machine's turn or a file open; a round would be lost in swapping them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.config import AgentSettings

AT_RUN_TIME: Final = frozenset({"network", "pools", "log", "lan", "ssh"})
"""Sections that may change at any time. `ssh` is for `support-bundle`, which reads the file anew each time."""


class Reloaded(NamedTuple):
    """What is in effect after a reload, and the names of what changed and of what has to wait for a restart."""

    settings: AgentSettings
    changed: list[str]
    waiting: list[str]

    @property
    def words(self) -> str:
        """What the people at the site should know; empty when all is in effect."""
        return f"changed, and in effect after a restart: {', '.join(self.waiting)}" if self.waiting else ""


def reloaded(now: AgentSettings, wanted: AgentSettings) -> Reloaded:
    """Take from the wanted settings what may change at run time; the rest stays."""
    changes: list[str] = []
    waits: list[str] = []
    for section in AgentSettings.model_fields:
        names = _differences(section, getattr(now, section), getattr(wanted, section))
        (changes if section in AT_RUN_TIME else waits).extend(names)
    taken = {section: getattr(wanted, section) for section in AT_RUN_TIME}
    return Reloaded(now.model_copy(update=taken), changes, waits)


def _differences(section: str, now: object, wanted: object) -> list[str]:
    if now == wanted:
        return []
    fields = getattr(type(now), "model_fields", None)
    if fields is None:
        return [section]
    return [f"{section}.{name}" for name in fields if getattr(now, name) != getattr(wanted, name)]
