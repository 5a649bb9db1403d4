"""One click ends promotion (RFC 8058): the link in the mail carries who it was sent to, and nobody has to log in."""

from __future__ import annotations

import hmac

from backend.registry.sealing import Keys

_PURPOSE = b"unsubscribe"


def token(keys: Keys, member: str) -> str:
    """For the link in a mail to this member; it tells the member's id, and can be made only here."""
    return f"{member}.{keys.macs(_PURPOSE, member)[0]}"


def member_of(keys: Keys, presented: str) -> str | None:
    """Whom a link was made for; None when it was not made here."""
    member, _, mac = presented.partition(".")
    return (
        member
        if any(hmac.compare_digest(mac.encode(), each.encode()) for each in keys.macs(_PURPOSE, member))
        else None
    )
