"""How the agent does, in a file that `status` and the on-site page read. It names no machine and no address of one."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

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


class SpoolStatus(_Part):
    """What waits and what was lost, in the life of the spool."""

    batches: int = 0
    bytes: int = 0
    oldest_at: datetime | None = None
    dropped_batches: int = 0
    dropped_readings: int = 0
    quarantined: int = 0
    trouble: str = ""


class UplinkStatus(_Part):
    """The way to the backend."""

    state: str = "idle"  # idle, sending, waiting, paused
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
    machines: MachineCounts = MachineCounts()
    spool: SpoolStatus = SpoolStatus()
    uplink: UplinkStatus = UplinkStatus()

    def life(self, now: datetime) -> str:
        """`running`, `not responding` (the process is there and writes nothing) or `stopped`."""
        if not _is_alive(self.pid):
            return "stopped"
        late = now - self.written_at > timedelta(seconds=max(30.0, 5 * self.write_s))
        return "not responding" if late else "running"


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


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
