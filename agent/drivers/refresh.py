"""Facts read again."""

from __future__ import annotations

from dataclasses import replace

from agent.reading import Facts


def refreshed(
    facts: Facts,
    *,
    firmware: str | None,
    mac: str | None,
    serial: str | None,
    hostname: str | None,
    expected_ths: float | None,
) -> Facts:
    """The facts with what was read now. What a machine did not tell this time is kept: without its MAC it would
    go by another name, and be another machine to whoever watches."""
    return replace(
        facts,
        firmware=firmware or facts.firmware,
        mac=mac or facts.mac,
        serial=serial or facts.serial,
        hostname=hostname or facts.hostname,
        expected_ths=expected_ths or facts.expected_ths,
    )
