"""Logs: key=value or JSON to standard error.

Call sites log pseudonyms only; a last guard blots out what looks like an address.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog
from structlog.typing import Processor

_MAC: Final = re.compile(r"(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{1,2}(?:[:-][0-9A-Fa-f]{1,2}){5}(?![0-9A-Fa-f:-])")
_IPV4: Final = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
_IPV6: Final = re.compile(
    r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:)[0-9A-Fa-f:]{2,39}(?:%\w+)?(?![0-9A-Za-z:])"
)
_CLOCK_TIME: Final = re.compile(r"\d{1,2}:\d{2}:\d{2}")

_NOISY: Final = ("pyasic", "pyasic_rs", "asyncssh", "httpx", "httpcore", "asyncio", "aiohttp", "apscheduler")
"""Libraries that log addresses, or whole answers of machines, below WARNING."""


def redact(text: str) -> str:
    """The text without what looks like a MAC, IPv4 or IPv6 address."""
    text = _MAC.sub("[mac]", text)
    text = _IPV4.sub("[address]", text)
    return _IPV6.sub(lambda match: match[0] if _CLOCK_TIME.fullmatch(match[0]) else "[address]", text)


def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: `redact` for each value, whatever it is nested in. Numbers and the time stamp stay."""
    for key, value in event.items():
        if key != "timestamp":
            event[key] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(one) for one in value]
    return redact(value if isinstance(value, str) else str(value))


def configure(form: Literal["logfmt", "json"] = "logfmt", level: str = "info") -> None:
    """Set up structlog and the standard library's logging alike: one shape, one guard, standard error.

    The root logger gets its handler here, so that `logging.basicConfig` (pyasic calls it) changes nothing.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("event"),
    ]
    render: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact_event, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
