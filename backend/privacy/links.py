"""Links in mails that need no log-in: a link carries what it is about, and can be made only here."""

from __future__ import annotations

import hmac
from typing import Literal

from backend.registry.sealing import Keys

Use = Literal["unsubscribe", "request", "digest"]
"""What a link is good for; one that was made for another use is good for nothing."""


def token(keys: Keys, use: Use, about: str) -> str:
    """For the link in a mail; it tells the id that it is about."""
    return f"{about}.{keys.macs(use.encode(), about)[0]}"


def about(keys: Keys, use: Use, presented: str) -> str | None:
    """The id that a link was made for; None when it was not made here."""
    found, _, mac = presented.partition(".")
    is_ours = [hmac.compare_digest(mac.encode(), each.encode()) for each in keys.macs(use.encode(), found)]
    return found if any(is_ours) else None
