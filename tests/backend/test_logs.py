"""One line an event, for people or for programs."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, sys, structlog
from backend import logs
logs.configure(sys.argv[1], sys.argv[2])
log = structlog.get_logger()
log.debug("quiet.event")
log.info("loud.event", account="acc_1", said="two words")
logging.getLogger("some.library").info("not heard")
logging.getLogger("some.library").warning("heard %s", "too")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("bad.event")
"""


def logged(log_format: str, level: str = "info") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, log_format, level], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_has_one_object_a_line() -> None:
    loud, library, bad = [json.loads(line) for line in logged("json")]
    assert (loud["event"], loud["account"], loud["level"]) == ("loud.event", "acc_1", "info")
    assert loud["timestamp"].endswith("Z")
    assert library["event"] == "heard too"
    assert "ZeroDivisionError" in bad["exception"]


def test_logfmt_has_one_event_a_line() -> None:
    loud, library, bad = logged("logfmt")
    assert 'event=loud.event account=acc_1 said="two words"' in loud
    assert 'event="heard too"' in library
    assert "ZeroDivisionError" in bad


def test_the_level_is_kept() -> None:
    assert len(logged("logfmt", "error")) == 2, "our error, and what libraries warn of"
    assert len(logged("logfmt", "debug")) == 4
