"""How the running agent does, read off its parts: the status for people, and the signs of life for the watchdog."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version

from agent import status
from agent.batcher import Batcher
from agent.daemon import Signs
from agent.enrolment import Enrolment
from agent.intake import Intake
from agent.lan.desk import Desk
from agent.pause import Pause
from agent.poll import Poller
from agent.privacy import Privacy
from agent.spool import Spool
from agent.uplink import Uplink


@dataclass
class Vitals:
    """The parts that are looked at, and what only their owner knows of them."""

    enrolled: Enrolment
    clock: Callable[[], datetime]
    write_s: float
    poller: Poller
    intake: Intake
    batcher: Batcher
    spool: Spool
    uplink: Uplink
    pause: Pause
    privacy: Privacy
    desk: Desk
    started_at: datetime
    file_trouble: str = field(default="", init=False)
    """Why the files for the people at the site are not written; empty when they are."""
    settings_trouble: str = field(default="", init=False)
    """Why the settings in the file are not all in effect; empty when they are."""

    def status(self) -> status.Status:
        """All of it, at this moment."""
        counts, backlog, uplink = self.spool.counts, self.spool.backlog(), self.uplink.condition
        return status.Status(
            version=version("itsminer"),
            pid=os.getpid(),
            site=self.enrolled.site,
            site_name=self.enrolled.site_name,
            backend=self.enrolled.url,
            started_at=self.started_at,
            written_at=self.clock(),
            write_s=self.write_s,
            settings=self.settings_trouble,
            paused_since=self.pause.since,
            privacy=self.privacy.why,
            machines=status.MachineCounts(
                known=len(self.poller.miners),
                reachable=self.intake.reachable,
                last_round_at=self.intake.last_round_at,
                sharing_mac=sum(miner.facts.shares_mac for miner in self.poller.miners.values()),
            ),
            spool=status.SpoolStatus(
                **backlog._asdict(),
                dropped_batches=counts.dropped_batches,
                dropped_readings=counts.dropped_readings + self.batcher.dropped_readings,
                quarantined=counts.quarantined,
                withheld=self.spool.withheld_batches,
                trouble=self.batcher.trouble or self.file_trouble,
            ),
            uplink=status.UplinkStatus(
                state=uplink.word,
                why=uplink.why,
                since=uplink.since,
                last_acknowledged_at=uplink.acknowledged_at,
                acknowledged_batches=uplink.acknowledged_batches,
                acknowledged_readings=uplink.acknowledged_readings,
            ),
        )

    def signs(self) -> Signs:
        """What shows whether the work gets on."""
        uplink, counts = self.uplink.condition, self.spool.counts
        return Signs(
            resting=self.pause.since is not None,
            machines=len(self.poller.miners),
            readings=self.poller.counts.readings,
            uplink=uplink.word,
            waiting_batches=self.spool.backlog().batches,
            tries=self.desk.tries,
            settled_batches=uplink.acknowledged_batches + counts.quarantined + counts.dropped_batches,
        )
