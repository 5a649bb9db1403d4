"""Who is told by which channel."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from backend.registry.tables import Member
from backend.warnings.severity import Severity


class Channel(StrEnum):
    """How a contact is reached."""

    EMAIL = "email"
    SMS = "sms"


ROUTES: Final[Mapping[Severity, tuple[Channel, ...]]] = {
    Severity.INFO: (),
    Severity.WARNING: (Channel.EMAIL,),
    Severity.CRITICAL: (Channel.EMAIL, Channel.SMS),
}
"""Severity → channels."""


def contact(member: Member, channel: Channel) -> str | None:
    """Where a member is reached; None unless the contact was verified and has not failed for good."""
    match channel:
        case Channel.EMAIL:
            usable = member.email_verified_at is not None and member.email_failed_at is None
            return member.email if usable else None
        case Channel.SMS:
            usable = member.phone_verified_at is not None and member.phone_failed_at is None
            return member.phone if usable else None
