"""What can be wrong with a simulated machine, since when, until when.

An episode is kept after it ended: a machine that was too hot cools down slowly, and shares that were not
found while it made no hashes are missing for ever. Nothing ticks: every question is answered for the `now`
that it is asked with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """Every way to break a machine; scripts and tests name them by these words."""

    # The numbers change; recordings, whose numbers stand still, do not show these.
    OVERHEATING = "overheating"
    BOARD_LOST = "board_lost"
    FAN_STOPPED = "fan_stopped"
    ZERO_HASHRATE = "zero_hashrate"
    POOL_CHANGED = "pool_changed"
    # The machine is off.
    UNREACHABLE = "unreachable"
    REBOOT_LOOP = "reboot_loop"
    # What comes over the connection is broken.
    NEVER_ANSWERS = "never_answers"
    GARBAGE = "garbage"
    HALF_ANSWER = "half_answer"
    SLOW_DRIP = "slow_drip"
    HUGE_ANSWER = "huge_answer"
    DEEP_JSON = "deep_json"
    INVALID_UTF8 = "invalid_utf8"
    ABSURD_NUMBERS = "absurd_numbers"
    NAN_NUMBERS = "nan_numbers"
    REDIRECT = "redirect"


MEANING: Final[dict[Fault, str]] = {
    Fault.OVERHEATING: "chips climb above 110 °C within seconds, fans go to full speed",
    Fault.BOARD_LOST: "one hash board is gone (board = its index)",
    Fault.FAN_STOPPED: "one fan stands still (fan = its index)",
    Fault.ZERO_HASHRATE: "answers, is meant to mine, makes no hashes and finds no shares",
    Fault.POOL_CHANGED: "mines for a stranger: other pool, other account",
    Fault.UNREACHABLE: "refuses every connection",
    Fault.REBOOT_LOOP: "restarts every 20 s and is off for the first 5 s of them",
    Fault.NEVER_ANSWERS: "accepts and never answers",
    Fault.GARBAGE: "answers random bytes",
    Fault.HALF_ANSWER: "closes in the middle of the answer",
    Fault.SLOW_DRIP: "answers one byte a second",
    Fault.HUGE_ANSWER: "answers 100 MB",
    Fault.DEEP_JSON: "answers JSON nested 100,000 deep",
    Fault.INVALID_UTF8: "answers bytes that are no UTF-8",
    Fault.ABSURD_NUMBERS: "answers 1e308, negative and far too large numbers, in sound JSON",
    Fault.NAN_NUMBERS: "answers NaN and infinities, which JSON has not",
    Fault.REDIRECT: "its web pages redirect for ever, its other ports answer as ever",
}
"""One line each, for people."""

ON_THE_WIRE: Final = (
    Fault.NEVER_ANSWERS,
    Fault.GARBAGE,
    Fault.HALF_ANSWER,
    Fault.SLOW_DRIP,
    Fault.HUGE_ANSWER,
    Fault.DEEP_JSON,
    Fault.INVALID_UTF8,
    Fault.ABSURD_NUMBERS,
    Fault.NAN_NUMBERS,
)
"""Faults of the connection; where several are set the first of these shows."""

_REBOOT_EVERY = timedelta(seconds=20)
_REBOOT_TAKES = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault from `since` until `until` (None: until somebody ends it)."""

    fault: Fault
    since: datetime
    until: datetime | None = None
    board: int | None = None  # which one is lost; None: the last
    fan: int = 0  # which one stands still

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)

    def seconds_within(self, start: datetime, end: datetime) -> float:
        """How much of [start, end] it covers."""
        until = end if self.until is None else min(self.until, end)
        return max(0.0, (until - max(self.since, start)).total_seconds())

    def strength(self, now: datetime, tau_s: float) -> float:
        """0 before it, climbing towards 1 while it holds, falling towards 0 after it, with time constant `tau_s`."""
        if now < self.since:
            return 0.0
        end = now if self.until is None else min(now, self.until)
        reached = 1 - math.exp(-(end - self.since).total_seconds() / tau_s)
        return reached * math.exp(-(now - end).total_seconds() / tau_s)


class Faults:
    """The faults of one machine: begun and ended by a script or, at run time, by a test."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._episodes: tuple[Episode, ...] = ()
        self.on_change: Callable[[], None] = _nobody

    def __bool__(self) -> bool:
        """Whether there was, is or will be any fault."""
        return bool(self._episodes)

    def begin(
        self,
        fault: Fault,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        board: int | None = None,
        fan: int = 0,
    ) -> None:
        """Break the machine now, or at `since`."""
        self._episodes += (Episode(fault, since or self._clock(), until, board, fan),)
        self.on_change()

    def end(self, fault: Fault | None = None) -> None:
        """End this fault now, or all of them; what has not begun yet is forgotten."""
        now = self._clock()
        chosen = [e for e in self._episodes if fault in (None, e.fault) and (e.until is None or e.until > now)]
        kept = [e for e in self._episodes if e not in chosen]
        self._episodes = (*kept, *(replace(e, until=now) for e in chosen if e.since <= now))
        self.on_change()

    def active(self, fault: Fault, now: datetime) -> Episode | None:
        """The episode of this fault that holds now."""
        return next((e for e in self._episodes if e.fault is fault and e.holds(now)), None)

    def on_the_wire(self, now: datetime) -> Fault | None:
        """How the connection is broken now."""
        if not self._episodes:
            return None
        return next((fault for fault in ON_THE_WIRE if self.active(fault, now)), None)

    def strength(self, fault: Fault, now: datetime, tau_s: float) -> float:
        """0…1: how far the fault has built up by now, or how much of it is left (see `Episode.strength`)."""
        return max((e.strength(now, tau_s) for e in self._episodes if e.fault is fault), default=0.0)

    def seconds(self, fault: Fault, start: datetime, end: datetime) -> float:
        """For how long of [start, end] this fault held."""
        return sum(e.seconds_within(start, end) for e in self._episodes if e.fault is fault)

    def is_off(self, now: datetime) -> bool:
        """Whether nothing listens now."""
        if self.active(Fault.UNREACHABLE, now):
            return True
        loop = self.active(Fault.REBOOT_LOOP, now)
        return loop is not None and (now - loop.since) % _REBOOT_EVERY < _REBOOT_TAKES

    def booted(self, first: datetime, now: datetime) -> datetime:
        """When the machine last started: at `first`, or later if it is or was in a reboot loop."""
        boots = [first]
        for loop in self._episodes:
            if loop.fault is Fault.REBOOT_LOOP and loop.since <= now:
                end = now if loop.until is None else min(now, loop.until)
                start_of_round = end - (end - loop.since) % _REBOOT_EVERY
                up = start_of_round + _REBOOT_TAKES
                boots.append(up if up <= end else end)
        return max(boots)


def _nobody() -> None:
    """Nobody listens for changes yet."""
