"""What can go wrong in any engine, named for what the caller does about it.

- `StoreUnavailable`: nothing is known to be stored; come back after `retry_after_s`. The API answers 503.
  - `StoreMisconfigured`: the same, and an operator has to act first (token, organisation, bucket).
- `Refused`: the engine will never take this batch, which is put aside. The API answers 422.
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
    """The engine calls the batch wrong; it would again."""
