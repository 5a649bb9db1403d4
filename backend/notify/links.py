"""Links in messages that need no log-in: signed here, checked here, good for one thing."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from backend.privacy import links
from backend.registry.sealing import Keys

ACKNOWLEDGE: Final = "/a"
"""Short: it goes into texts, too."""
STOP_DIGEST: Final = "/v1/digest/stop"
ACKNOWLEDGE_FOR: Final = timedelta(days=7)
"""So long after its message was written a link acknowledges."""

_MAC: Final = 20  # hex digits: 80 bits, beside an id of 80 random ones


@dataclass(frozen=True, slots=True)
class Links:
    """Where messages lead to."""

    public_url: str
    keys: Keys

    @property
    def page(self) -> str:
        """All machines."""
        return f"{self.public_url.rstrip('/')}/"

    def acknowledge(self, message: str) -> str:
        """For what a message tells."""
        return f"{self.page.rstrip('/')}{ACKNOWLEDGE}?t={acknowledging(self.keys, message)}"

    def stop_digest(self, contact: str) -> str:
        """One click ends it (RFC 8058)."""
        return f"{self.page.rstrip('/')}{STOP_DIGEST}?token={quote(links.token(self.keys, 'digest', contact))}"


def acknowledging(keys: Keys, message: str) -> str:
    """A token that acknowledges what a message tells."""
    return f"{message.removeprefix('msg_')}{keys.macs(b'acknowledge', message)[0][:_MAC]}"


def acknowledged_by(keys: Keys, presented: str) -> str | None:
    """The message of a token; None when it was not made here."""
    message = f"msg_{presented[:-_MAC]}"
    macs = keys.macs(b"acknowledge", message)  # under each key: a rotation ends no link
    fits = [hmac.compare_digest(presented[-_MAC:].encode(), mac[:_MAC].encode()) for mac in macs]
    return message if any(fits) else None
