"""A chart as a PNG, for a phone: one line, its limit, the time since when it is bad, a few numbers. Pure.

Twice as many pixels as it is shown in, so that it is sharp. Only digits are written: no font has to speak a language.
A gap in the data is a gap in the line.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from math import ceil, floor, log10
from statistics import median
from typing import Final

from PIL import Image, ImageDraw, ImageFont

Points = Sequence[tuple[datetime, float]]

WIDTH: Final = 1120
HEIGHT: Final = 440

_LEFT, _RIGHT, _TOP, _BOTTOM = 104, 24, 20, 60
_PAPER, _INK, _GRID = "#ffffff", "#475467", "#e4e7ec"  # white also in a dark mail: the picture cannot know
_LINE, _BAD, _LIMIT = "#1d5fc4", "#fdecea", "#d92d20"
_GAP: Final = 2.5
"""Points further apart than this many usual distances are not joined."""


def drawn(
    points: Points, *, start: datetime, end: datetime, zone: tzinfo = UTC, limit: float | None, since: datetime
) -> bytes:
    """The chart from `start` to `end`; `points` are in time's order. `since`: from there on it is bad."""
    values = [value for _, value in points]
    marks = _marks(min([*values, *([limit] if limit is not None else [])]), max([*values, limit or values[0]]))
    low, high = marks[0], marks[-1]

    def place(time: datetime, value: float) -> tuple[float, float]:
        across = (time - start) / (end - start)
        up = (value - low) / (high - low)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    picture = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(30)
    if since < end:
        pen.rectangle((place(max(since, start), high), place(end, low)), fill=_BAD)
    for mark in marks:
        left, right = place(start, mark), place(end, mark)
        pen.line((left, right), fill=_GRID, width=2)
        pen.text((_LEFT - 14, left[1]), f"{mark:,.10g}", fill=_INK, font=font, anchor="rm")
    for hour in _hours(start, end, zone):
        x, y = place(hour, low)
        pen.text((x, y + 14), f"{hour.astimezone(zone):%H:%M}", fill=_INK, font=font, anchor="mt")
    if limit is not None:
        _dashed(pen, place(start, limit), place(end, limit))
    for run in _runs(points):
        placed = [place(time, value) for time, value in run]
        pen.line([*placed, placed[-1]], fill=_LINE, width=5, joint="curve")
    x, y = place(*points[-1])
    pen.ellipse((x - 8, y - 8, x + 8, y + 8), fill=_LINE)
    file = io.BytesIO()
    picture.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _marks(low: float, high: float) -> list[float]:
    """Three to six round numbers from below the least to above the most."""
    span = max(high - low, abs(high) * 0.02, 1e-9)
    magnitude = 10.0 ** floor(log10(span))
    step = next(
        step for step in (magnitude / 5, magnitude / 2, magnitude, magnitude * 2, magnitude * 5) if span / step <= 4
    )
    first = floor(low / step)
    return [number * step for number in range(first, max(ceil(high / step), first + 1) + 1)]


def _hours(start: datetime, end: datetime, zone: tzinfo) -> list[datetime]:
    """Full hours, not too many of them, and none so close to an edge that its number is cut."""
    first = start.astimezone(zone).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    every = timedelta(hours=max(1, round((end - start) / timedelta(hours=6))))
    hours = [first]
    while hours[-1] + every < end:
        hours.append(hours[-1] + every)
    margin = (end - start) / 40
    return [hour for hour in hours if start + margin <= hour <= end - margin]


def _dashed(pen: ImageDraw.ImageDraw, left: tuple[float, float], right: tuple[float, float]) -> None:
    x = left[0]
    while x < right[0]:
        pen.line(((x, left[1]), (min(x + 16, right[0]), left[1])), fill=_LIMIT, width=4)
        x += 28


def _runs(points: Points) -> list[list[tuple[datetime, float]]]:
    """Split where readings are missing."""
    distances = [(later[0] - earlier[0]).total_seconds() for earlier, later in pairwise(points)]
    usual = median(distances) if distances else 0.0
    runs = [[points[0]]]
    for distance, point in zip(distances, points[1:], strict=True):
        if distance > _GAP * usual:
            runs.append([])
        runs[-1].append(point)
    return runs
