"""Noise without a clock that ticks: a value for every moment, smooth in time, the same for the same seed."""

from __future__ import annotations

_MASK = 2**64 - 1


def noise(seed: int, channel: int, at_s: float, period_s: float = 20.0) -> float:
    """−1…1 at this second: straight lines between random points that lie `period_s` apart."""
    step, fraction = divmod(at_s / period_s, 1.0)
    before, after = trait(seed, channel, int(step)), trait(seed, channel, int(step) + 1)
    return before + (after - before) * fraction


def trait(seed: int, channel: int, step: int = 0) -> float:
    """−1…1, the same for ever: what one machine has and another has not."""
    value = (seed * 0x9E3779B97F4A7C15 + channel * 0xBF58476D1CE4E5B9 + step * 0x94D049BB133111EB + 1) & _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return ((value ^ value >> 31) >> 11) / 2**52 - 1.0
