"""What can go wrong at a site; the class says what the caller does.

AgentError
├── MinerUnreachable   no answer within the deadline, or an empty one: back off, ask again later
├── BadReply           it answered, but not in a way we can use: keep going, count it
│   └── TooMuch        it answered with more than any machine has to say: ask it more rarely
├── Rejected           the backend will never take this batch: quarantine it
├── RetryLater         the backend cannot take it now: keep it, wait `after_s`
├── DiskTrouble        the site's own disk takes no more: keep it in memory, try again, say so once
├── NotAllowed         our token is not (or no longer) valid: pause the uplink and say so
└── Misconfigured      a setting, key or file is wrong: stop at start and say what to change
"""

from __future__ import annotations


class AgentError(Exception):
    """Root of what the agent raises on purpose; the message is for the operator."""


class MinerUnreachable(AgentError):
    """No usable answer in time. An empty answer counts: pyasic and asic-rs give one for a dead machine."""


class BadReply(AgentError):
    """The machine answered with something that is no reading."""


class TooMuch(BadReply):
    """The machine sent more than any machine has to say; what it said is not looked at."""

    def __init__(self) -> None:
        super().__init__("it sends more than any machine has to say")


class Rejected(AgentError):
    """The backend refused a batch for what it is (400, 413, 422); sending it again cannot help."""


class RetryLater(AgentError):
    """The backend or the network cannot take a batch now (408, 429, 5xx, no connection)."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class DiskTrouble(AgentError):
    """The disk is full, read-only or failing; the message says which and where."""


class NotAllowed(AgentError):
    """The backend does not accept our token (401, 403)."""


class Misconfigured(AgentError):
    """The operator has to change something; the message says what."""
