"""What can go wrong, named for what the caller does about it.

- `StoreUnavailable`: nothing is known to be stored; come back after `retry_after_s`. The API answers 503.
  - `StoreMisconfigured`: the same, and an operator has to act first (token, organisation, bucket).
- `Refused`: the server will never take these lines; the batch is put aside. The API answers 422.
- `AnswerTooLarge`: ask for less.
- `BadAnswer`: the server said what it should not; a fault of ours or of its.
"""

from __future__ import annotations


class StoreUnavailable(Exception):
    """Not now. Nothing was acknowledged."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreMisconfigured(StoreUnavailable):
    """The server refuses us until somebody changes the settings here or there."""


class Refused(ValueError):
    """The server calls the lines wrong; it would again."""


class AnswerTooLarge(ValueError):
    """The answer is longer than the caller wants to hold."""


class BadAnswer(RuntimeError):
    """A question failed, or its answer is of no known shape."""
