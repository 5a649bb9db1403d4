"""What the demo shows at one moment: read from the backend's API, the way any client would."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.world.world import World


@dataclass(frozen=True)
class Snapshot:
    """One look at the farm."""

    elapsed_s: float = 0.0
    machines: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)  # newest first, resolved ones included
    hashrate_ths: list[float] = field(default_factory=list)  # oldest first
    readings: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)  # (channel, first line), oldest first

    @property
    def states(self) -> Counter[str]:
        return Counter(machine["state"] for machine in self.machines)

    @property
    def firing(self) -> dict[str, dict[str, Any]]:
        """The firing warning of each machine (the gravest)."""
        active = [w for w in self.warnings if w.get("resolved_at") is None and w.get("machine")]
        return {w["machine"]: w for w in sorted(active, key=lambda w: w["severity"] == "critical")}

    def total(self, name: str) -> float:
        return float(sum(machine["reading"].get(name) or 0.0 for machine in self.machines))


async def look(world: World, elapsed_s: float) -> Snapshot:
    """Ask the backend how the farm does."""
    machines = (await world.get("/v1/machines"))["machines"]
    warnings = (await world.get("/v1/warnings", state="all"))["warnings"]
    series = await world.get("/v1/series", metric="hashrate_ths", across="sum", step=f"{world.interval_s:g}s")
    points = [value for _, value in series["series"][0]["points"]] if series["series"] else []
    mails = [
        (at, "e-mail", str(mail["subject"]).strip())
        for at, mail in zip(world.mail.caught_at, world.mail.mails, strict=False)
    ]
    texts = [(at, "SMS", text) for at, text in zip(world.sms.caught_at, world.sms.texts, strict=False)]
    return Snapshot(
        elapsed_s=elapsed_s,
        machines=machines,
        warnings=warnings,
        hashrate_ths=points,
        readings=int((await world.metrics()).get("itsminer_readings_total", 0)),
        messages=[(channel, line) for _, channel, line in sorted(mails + texts)],
    )
