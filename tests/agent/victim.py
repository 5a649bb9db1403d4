"""A process that spools and sends as fast as it can, to be killed at any moment."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from agent.spool import Spool
from tests.agent.raw import batch


def spool_and_send(folder: str, first: int) -> None:
    """Append batches `first`, `first` + 1, … and take them out again, three appended for two taken.

    `confirmed` gets a line after an append has returned, `delivered` one before an acknowledgement or a split.
    """
    home = Path(folder)
    spool = Spool(home / "spool", 1 << 30)
    appended = threading.Semaphore(0)

    def send() -> None:
        with (home / "delivered").open("ab", buffering=0) as delivered:
            while True:
                appended.acquire()
                if (spooled := spool.next_up()) is not None:
                    delivered.write(b"%d\n" % spooled.batch.id.int)
                    if len(spooled.batch.readings) > 2:
                        spool.split(spooled.sequence)
                    else:
                        spool.acknowledge(spooled.sequence)

    threading.Thread(target=send, daemon=True).start()
    with (home / "confirmed").open("ab", buffering=0) as confirmed:
        for number in range(first, first + 1_000_000):
            spool.append(batch(number, readings=1 + number % 3))
            confirmed.write(b"%d\n" % number)
            if number % 3:
                appended.release()
    os._exit(1)
