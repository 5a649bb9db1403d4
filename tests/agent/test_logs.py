"""Logs: one shape, one guard."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from agent import logs


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("machine at 192.168.17.42:4028 said no", "machine at [address]:4028 said no"),
        ("02:00:5e:1c:a7:3f", "[mac]"),
        ("mac=02-00-5E-1C-A7-3F.", "mac=[mac]."),
        ("from fe80::1ff:fe23:4567:890a%eth0", "from [address]"),
        ("[2001:db8::1]:3333", "[[address]]:3333"),
        ("at ::1", "at [address]"),
        ("took 12:30:05, ratio 3.14, version 0.8.6", "took 12:30:05, ratio 3.14, version 0.8.6"),
        (
            "mnr-hcxq689ra65zc7z3 batch 0b5f4f66-24c1-4a5e-9a3c-8f1d4a0e7b21",
            "mnr-hcxq689ra65zc7z3 batch 0b5f4f66-24c1-4a5e-9a3c-8f1d4a0e7b21",
        ),
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"),
    ],
)
def test_what_looks_like_an_address_is_blotted_out(text: str, clean: str) -> None:
    assert logs.redact(text) == clean


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_values_are_clean_however_deep_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    structlog.get_logger().info(
        "poll.done", where=["10.0.0.1", {"a": ("02:00:5e:1c:a7:3f",)}], error=OSError("10.0.0.1"), n=5
    )
    event = said(capsys)[0]
    assert (event["where"], event["error"], event["n"]) == (["[address]", {"a": ["[mac]"]}], "[address]", 5)
    assert (event["event"], event["level"]) == ("poll.done", "info")


def test_tracebacks_are_clean_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    try:
        raise OSError("no route to 10.0.0.1")
    except OSError:
        structlog.get_logger().exception("poll.failed")
    event = said(capsys)[0]
    assert "no route to [address]" in str(event["exception"])


def test_libraries_speak_the_same_way_and_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    logging.basicConfig(level=logging.DEBUG, force=False)
    logging.getLogger("aiohttp.client").info("GET 10.0.0.1")
    logging.getLogger("some.library").warning("lost %s", "10.0.0.1")
    assert [(event["event"], event["level"]) for event in said(capsys)] == [("lost [address]", "warning")]


def test_logfmt_is_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("logfmt", "warning")
    log = structlog.get_logger()
    log.info("not.this")
    log.warning("spool.full", batches=5, why="a b")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert 'level=warning event=spool.full batches=5 why="a b"' in lines[0]
