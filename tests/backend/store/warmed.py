"""For the process that writers are forked from, and no other: its import does what each of them would begin with.

DuckDB is opened, without any file, and has written once. It has one thread, so nothing is under way in it when a
writer is forked; the account's own file is opened by the writer, after the last one's death.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from backend.store import grouping, openfiles
from backend.store.hot import HotFile, Incoming
from backend.store.instance import Instance
from backend.store.keys import Keys
from tests.backend.readings import NOW
from tests.backend.store.opened import MASTER
from tests.backend.store.writer import ACCOUNT, numbered


def _opened() -> Instance:
    with TemporaryDirectory(prefix="warmed-") as folder:
        instance = Instance(Path(folder) / "spill", memory_mb=64)
        file = HotFile.open(instance, ACCOUNT, Path(folder) / ACCOUNT, Keys(MASTER))
        file.write([Incoming(numbered(0), NOW)])
        file.close()
    return instance


_INSTANCE = _opened()
patch.object(openfiles, "Instance", lambda *_, **__: _INSTANCE).start()
patch.object(grouping, "PACE_S", 0.002).start()  # a writer that waits for others is not worth killing
