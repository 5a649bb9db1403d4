"""Facts read again."""

from __future__ import annotations

from dataclasses import replace

from agent.identity import canonical_mac
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
    go by another name, and be another machine to whoever watches. Told another MAC, it is another machine at the same
    address, and nothing of the one before is kept."""
    before, now = canonical_mac(facts.mac), canonical_mac(mac)
    if before and now and before != now:
        facts = replace(facts, firmware=None, serial=None, hostname=None, expected_ths=None)
    return replace(
        facts,
        firmware=firmware or facts.firmware,
        mac=mac or facts.mac,
        serial=serial or facts.serial,
        hostname=hostname or facts.hostname,
        expected_ths=expected_ths or facts.expected_ths,
    )
