"""Curves over time as one SVG, without a library: a panel for each, from 0 up, so that what is flat looks flat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 720
_PANEL: Final = 150
_LEFT: Final = 64
_RIGHT: Final = 16
_TOP: Final = 40
_GAP: Final = 46
_TICKS: Final = 4
_INK: Final = "#333"
_FAINT: Final = "#ddd"
_LINE: Final = "#1f6fb2"
_MOST_POINTS: Final = 600


class Curve(NamedTuple):
    """One panel."""

    name: str
    points: Sequence[tuple[float, float]]  # minutes, value


def drawn(title: str, curves: Sequence[Curve]) -> str:
    """The SVG document."""
    height = _TOP + len(curves) * (_PANEL + _GAP)
    last_min = max((minutes for curve in curves for minutes, _ in curve.points), default=1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for number, curve in enumerate(curves):
        lines += _panel(curve, _TOP + number * (_PANEL + _GAP) + 12, last_min)
    return "\n".join([*lines, "</svg>", ""])


def _panel(curve: Curve, top: float, last_min: float) -> Iterator[str]:
    step = _round_step(max((value for _, value in curve.points), default=1.0) / _TICKS)
    most = step * _TICKS
    width = _WIDTH - _LEFT - _RIGHT
    yield f'<text x="{_LEFT}" y="{top - 4:.0f}">{escape(curve.name)}</text>'
    for tick in range(_TICKS + 1):
        y = top + _PANEL * (1 - tick / _TICKS)
        yield f'<path d="M{_LEFT} {y:.1f}h{width}" stroke="{_FAINT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick * step:g}</text>'
    for minutes in _minute_ticks(last_min):
        x = _LEFT + width * minutes / last_min
        yield f'<text x="{x:.1f}" y="{top + _PANEL + 16:.0f}" text-anchor="middle">{minutes:g} min</text>'
    every = max(1, len(curve.points) // _MOST_POINTS)
    places = (
        f"{_LEFT + width * minutes / last_min:.1f},{top + _PANEL * (1 - value / most):.1f}"
        for minutes, value in curve.points[::every]
    )
    yield f'<polyline points="{" ".join(places)}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'


def _minute_ticks(last_min: float) -> Iterator[float]:
    step = _round_step(last_min / 6)
    return (step * number for number in range(int(last_min / step) + 1))


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not less."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least), 10 * power)
