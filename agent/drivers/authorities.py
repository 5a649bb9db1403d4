"""asic-rs makes a web client for each machine with a page, and each holds all authorities that the system trusts:
measured, 90 kB of 145 kB a machine, which ten thousand machines turn into most of the agent's memory.

No machine on a farm's network has a certificate of a public authority, so asic-rs is shown one instead of all.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)
_shown: list[int] = []


def show_one() -> None:
    """For this process, from now on, and for any that it starts, which cannot read it: only for a process that starts
    none. Where the system has no such file, or no memory files, nothing changes.

    Our own connections have read the system's authorities before: `agent.transit` does so when it is imported.
    """
    store = ssl.get_default_verify_paths().cafile
    if _shown or store is None or not hasattr(os, "memfd_create"):
        return
    one = _PEM.search(Path(store).read_bytes())
    if one is None:
        return
    file = os.memfd_create("authority")
    os.write(file, one[0])
    _shown.append(file)
    # A folder that is none is an empty one; the system's would be read beside the file.
    os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = f"/proc/self/fd/{file}"
