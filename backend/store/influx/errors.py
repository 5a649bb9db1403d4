"""What can go wrong between us and the server only; what callers of a store meet is in `backend.store.errors`."""

from __future__ import annotations


class AnswerTooLarge(ValueError):
    """The answer is longer than the caller wants to hold: ask for less."""


class BadAnswer(RuntimeError):
    """A question failed, or its answer is of no known shape: a fault of ours or of the server's."""
