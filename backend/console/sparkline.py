"""A small chart as inline SVG: a line, the area under it, a dashed line for what is expected.

No script and no style attribute: the strict content policy of the page allows neither. Colours come from
the page's style sheet by class. A gap in the data is a gap in the line, never a slope through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Final

from markupsafe import Markup, escape

Points = Sequence[tuple[datetime, float]]

_GAP: Final = 2.5
"""Points further apart than this many usual distances are not joined."""


def sparkline(
    points: Points,
    *,
    start: datetime,
    end: datetime,
    label: str = "",
    width: int = 240,
    height: int = 48,
    low: float | None = None,
    expected: float | None = None,
    least_span: float = 0,
) -> Markup:
    """The chart from `start` to `end`; `points` are in time's order, those outside are left out.

    The bottom is `low` (or under the least value: a line at the bottom looks like 0) and the range at least
    `least_span`, so that noise does not look like drama. With a `label` it is an image for screen readers, without
    one it is decoration.
    """
    inside = [(time, value) for time, value in points if start <= time <= end]
    span_s = max((end - start).total_seconds(), 1.0)
    bottom, top = _range([value for _, value in inside], low, expected, least_span)

    def place(time: datetime, value: float) -> tuple[float, float]:
        x = (time - start).total_seconds() / span_s * width
        return round(x, 1), round(height - 2 - (value - bottom) / (top - bottom) * (height - 4), 1)

    parts = [
        f'<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="none" {_named(label)}>',
    ]
    if expected is not None and inside:
        y = place(end, expected)[1]
        parts.append(f'<path class="spark-expected" d="M0 {y}H{width}"/>')
    for run in _runs(inside):
        placed = [place(time, value) for time, value in run]
        line = "L".join(f"{x} {y}" for x, y in placed)
        if len(placed) > 1:
            parts.append(f'<path class="spark-area" d="M{placed[0][0]} {height}L{line}L{placed[-1][0]} {height}Z"/>')
        # A line of no length with round ends is a dot: a lonely point shows, and so does the newest one.
        parts.append(f'<path class="spark-line" d="M{line}{"h0" if len(placed) == 1 else ""}"/>')
    if inside:
        x, y = place(*inside[-1])
        parts.append(f'<path class="spark-last" d="M{x} {y}h0"/>')
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - numbers of ours, and a label escaped below


def stripe(parts: Mapping[str, int]) -> Markup:
    """A bar parted by counts, one rectangle of the class `part NAME` each; the numbers stand beside it in words."""
    whole = sum(parts.values()) or 1
    drawn, x = ['<svg class="stripe" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'], 0.0
    for name, count in parts.items():
        if count:
            width = 100 * count / whole
            drawn.append(f'<rect class="part {escape(name)}" x="{x:.2f}" y="0" width="{width:.2f}" height="1"/>')
            x += width
    return Markup("".join([*drawn, "</svg>"]))  # noqa: S704 - numbers of ours and an escaped name


def _named(label: str) -> str:
    return Markup('role="img" aria-label="{}"').format(label) if label else 'aria-hidden="true"'


def _range(
    values: Sequence[float], low: float | None, expected: float | None, least_span: float
) -> tuple[float, float]:
    everything = [*values, *([expected] if expected is not None else [])] or [0.0]
    least, most = min(everything), max(everything)
    if low is not None:
        least = min(low, least)
    elif most - least < least_span:
        middle = (most + least) / 2
        least, most = middle - least_span / 2, middle + least_span / 2
    if most - least < 1e-9:
        most = least + 1.0
    margin = (most - least) * 0.05
    return least if low is not None else least - 4 * margin, most + margin


def _runs(points: Points) -> list[list[tuple[datetime, float]]]:
    """Split where readings are missing."""
    if not points:
        return []
    distances = [(later - earlier).total_seconds() for (earlier, _), (later, _) in pairwise(points)]
    usual_s = median(distances) if distances else 0.0
    runs = [[points[0]]]
    for distance_s, point in zip(distances, points[1:], strict=True):
        if distance_s > _GAP * usual_s:
            runs.append([])
        runs[-1].append(point)
    return runs
