"""Keep the two libraries from telling machines' addresses and answers to logs and to standard error.

pyasic calls `logging.basicConfig` when it is imported and logs addresses to the root logger; httpx logs each
request's URL; asic-rs logs whole raw answers at DEBUG. What is worth knowing of a machine we log ourselves.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_FIRMWARES: Final = str.split(
    """
    antminer auradine avalonminer bitaxe braiins elphapex epic forgeaxe futurebit goldshell luxminer marathon
    nerdaxe proto sealminer vnish volcminer whatsminer
        """
)
_TALKATIVE: Final = (
    *("asic_rs", "asic_rs_core", "diqwest", "h2", "hyper", "hyper_util", "reqwest", "rustls"),
    *("rustls_platform_verifier", "tokio", "tracing"),
    *(f"asic_rs_{part}_{name}" for part in ("firmwares", "makes") for name in _FIRMWARES),
    *("anyio", "httpcore", "httpx", "pyasic"),
)


def _is_ours(record: logging.LogRecord) -> bool:
    return f"{os.sep}pyasic{os.sep}" not in record.pathname


def hush() -> None:
    """Silence the libraries for this process. Calling it again changes nothing."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # else the last resort prints, should somebody set the level back
    root = logging.getLogger()
    if _is_ours not in root.filters:
        root.addFilter(_is_ours)
    warnings.filterwarnings("ignore", module=r"pyasic(\.|$)")


@contextmanager
def imported_quietly() -> Iterator[None]:
    """Undo what an import within does to the root logger; keep its deprecation warnings from the screen."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
