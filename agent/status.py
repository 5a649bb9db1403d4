"""How the agent does, in a file that `status` and the on-site page read. It names no machine and no address of one."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agent import durable
from agent.errors import Misconfigured


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class MachineCounts(_Part):
    """Machines of this site, as of the last round."""

    known: int = 0
    reachable: int = 0
    last_round_at: datetime | None = None
    sharing_mac: int = 0  # machines whose MAC another one claimed first


class SpoolStatus(_Part):
    """What waits and what was lost, in the life of the spool."""

    batches: int = 0
    bytes: int = 0
    oldest_at: datetime | None = None
    dropped_batches: int = 0
    dropped_readings: int = 0
    quarantined: int = 0
    withheld: int = 0  # batches that hold readings, where only totals may leave
    trouble: str = ""


class UplinkStatus(_Part):
    """The way to the backend."""

    state: Literal["idle", "sending", "waiting", "paused"] = "idle"
    why: str = ""
    since: datetime | None = None
    last_acknowledged_at: datetime | None = None
    acknowledged_batches: int = 0
    acknowledged_readings: int = 0


class Status(_Part):
    """All of it, at one moment."""

    version: str
    pid: int
    site: str
    site_name: str
    backend: str
    started_at: datetime
    written_at: datetime
    write_s: float
    privacy: str = ""  # why only totals leave; empty while readings do
    machines: MachineCounts = MachineCounts()
    settings: str = ""  # why those in the file are not all in effect
    paused_since: datetime | None = None  # by the people at the site: nothing is asked or sent
    spool: SpoolStatus = SpoolStatus()
    uplink: UplinkStatus = UplinkStatus()

    def life(self, now: datetime) -> str:
        """`running`, `not responding` (the process is there and writes nothing) or `stopped`."""
        if not _is_alive(self.pid):
            return "stopped"
        late = now - self.written_at > timedelta(seconds=max(30.0, 5 * self.write_s))
        return "not responding" if late else "running"


_UPLINK_WORDS: Final = {
    "idle": "everything is sent",
    "sending": "sending",
    "waiting": "waiting for the backend",
    "paused": "paused",
}


def read(path: Path) -> Status:
    """The last status written. Raises `Misconfigured` when there is none."""
    try:
        return Status.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise Misconfigured(
            f"no agent has run with {path.parent}; start one: itsminer-agent run --config FILE"
        ) from error
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise Misconfigured(f"{path} is damaged; a running agent writes it anew within seconds") from error


def write(path: Path, status: Status) -> None:
    """Put the status in place, whole. Raises `DiskTrouble`."""
    durable.write(path, status.model_dump_json(indent=1).encode(), synced=False)


def lines(found: Status, now: datetime) -> list[tuple[str, str]]:
    """The whole of it for people: what, and how it is."""
    spool, uplink = found.spool, found.uplink
    asked = f"last asked {ago(found.machines.last_round_at, now)}" if found.machines.last_round_at else "not asked yet"
    started = f"started {ago(found.started_at, now)}"
    lines = [("agent", f"{found.life(now)} (pid {found.pid}, version {found.version}, {started})")]
    if found.paused_since:
        lines.append(("paused", f"{ago(found.paused_since, now)}; nothing is asked or sent"))
    lines += [
        ("site", f"{found.site_name or found.site} ({found.site})"),
        ("backend", found.backend),
        ("machines", f"{found.machines.known} known, {found.machines.reachable} reachable, {asked}"),
        ("uplink", _uplink(found, now)),
        (
            "sent",
            f"{uplink.acknowledged_readings} readings since the start, last {ago(uplink.last_acknowledged_at, now)}",
        ),
        ("waiting", _waiting(found, now)),
    ]
    if spool.dropped_readings or spool.dropped_batches:
        lines.append(
            ("dropped", f"{spool.dropped_readings} readings in {spool.dropped_batches} batches: the spool was full")
        )
    if found.privacy:
        lines.append(("privacy", found.privacy))
    if spool.withheld:
        lines.append(("withheld", f"{spool.withheld} batches of readings wait and stay at this site"))
    if found.machines.sharing_mac:
        lines.append(("twins", f"{found.machines.sharing_mac} machines claim a MAC that another one has"))
    if spool.quarantined:
        lines.append(("refused", f"{spool.quarantined} batches are in quarantine"))
    if spool.trouble:
        lines.append(("disk", spool.trouble))
    if found.settings:
        lines.append(("settings", found.settings))
    return lines


def _uplink(found: Status, now: datetime) -> str:
    said = _UPLINK_WORDS[found.uplink.state]
    if not found.uplink.why:
        return said
    return f"{said} (since {ago(found.uplink.since, now)}): {found.uplink.why}"


def _waiting(found: Status, now: datetime) -> str:
    spool = found.spool
    if not spool.batches:
        return "nothing"
    return f"{spool.batches} batches, {spool.bytes / 1e6:.1f} MB, the oldest from {ago(spool.oldest_at, now)}"


def in_short(found: Status) -> str:
    """One line for the service manager."""
    if found.paused_since:
        return "paused by the people at the site: nothing is asked or sent"
    said = [f"{found.machines.reachable} of {found.machines.known} machines answer", _UPLINK_WORDS[found.uplink.state]]
    if found.spool.batches:
        said.append(f"{found.spool.batches} batches wait")
    return "; ".join([*said, *(trouble for trouble in (found.spool.trouble, found.settings) if trouble)])


def ago(then: datetime | None, now: datetime) -> str:
    """`12 s ago`, or `never`."""
    if then is None:
        return "never"
    seconds = max(0, round((now - then).total_seconds()))
    if seconds < 120:
        return f"{seconds} s ago"
    if seconds < 7_200:
        return f"{seconds // 60} min ago"
    if seconds < 172_800:
        return f"{seconds // 3_600} h ago"
    return f"{timedelta(seconds=seconds).days} days ago"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
