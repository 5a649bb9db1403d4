"""Quiet hours: when a contact is left alone, in its own time zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from backend.registry.notify_tables import Contact
from backend.warnings.severity import Severity


def quiet_until(contact: Contact, severity: Severity, now: datetime) -> datetime | None:
    """When a contact may be told of something so bad; None: now. Where clocks change, the wall clock counts."""
    if contact.quiet_from is None or contact.quiet_to is None or contact.quiet_from == contact.quiet_to:
        return None
    if severity is Severity.CRITICAL and contact.critical_passes:
        return None
    local = now.astimezone(ZoneInfo(contact.time_zone))
    begins, ends = time.fromisoformat(contact.quiet_from), time.fromisoformat(contact.quiet_to)
    clock = local.time()
    over_midnight = begins > ends
    is_quiet = (clock >= begins or clock < ends) if over_midnight else begins <= clock < ends
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=1 if over_midnight and clock >= begins else 0)
    end = datetime.combine(day, ends, local.tzinfo).astimezone(UTC)
    return max(end, now + timedelta(minutes=1))  # where the clock jumps over the end
