"""What a notifier promises: one message to one contact, or a word on what to do instead.

NotifierError
├── TryLater            not now: the server is away, slow, full, or refuses us: send it again, with back-off
└── NeverDeliverable    not ever: this message will not be taken; `is_contact_bad` when no message ever will
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that travels inside a mail; its HTML names it as `cid:` and nothing is loaded from anywhere."""

    cid: str
    png: bytes
    says: str  # for who does not see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one contact, in its final words."""

    id: str  # the same whenever this message is sent again, so that a duplicate can be known
    to: str  # address or number
    topic: str  # what messages about the same have in common, e.g. a site's id
    subject: str
    text: str
    html: str | None
    created_at: datetime
    unsubscribe_url: str | None = None  # of what nobody has to get (RFC 8058)
    image: Image | None = None
    secret: str | None = field(default=None, repr=False)  # what a webhook's message is signed with


class NotifierError(Exception):
    """Root of what a notifier raises on purpose. The message names no contact: it is logged and stored."""


class TryLater(NotifierError):
    """It was not taken now. `may_have_arrived`: the answer was lost, so it may have been taken after all."""

    def __init__(self, reason: str, *, after_s: float | None = None, may_have_arrived: bool = False) -> None:
        super().__init__(reason)
        self.after_s = after_s  # as the server asked for
        self.may_have_arrived = may_have_arrived


class NeverDeliverable(NotifierError):
    """It will never be taken."""

    def __init__(self, reason: str, *, is_contact_bad: bool) -> None:
        super().__init__(reason)
        self.is_contact_bad = is_contact_bad


class NotConfigured(ValueError):
    """A notifier cannot be made of these settings; the message says what to change."""


class Notifier(Protocol):
    """One channel. Safe to call at once for many messages. The caller sets the deadline; when that ends a `send`, the
    message may have arrived. A notifier raises before that, where it can, when it knows that nothing did."""

    async def send(self, message: Message) -> None:
        """Send. When this returns, the next server has taken it. Raises `TryLater` or `NeverDeliverable`."""

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
