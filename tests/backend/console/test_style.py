"""The page's colours: legible by WCAG 2 in both schemes, and no state told by colour alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from backend.console import rendering

CSS: Final = (Path(rendering.__file__).parent / "static/page.css").read_text(encoding="utf-8")
SCHEMES: Final = {
    scheme: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for scheme, block in zip(("light", "dark"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True)
}
TEXTS: Final = {
    "ink": ("ground", "panel", "row"),
    "soft": ("ground", "panel", "row"),
    "accent": ("ground", "panel", "row"),
    "critical": ("panel", "row", "critical-wash"),
    "warning": ("panel", "row", "warning-wash"),
    "info": ("panel", "row", "info-wash"),
    "silent": ("panel", "row"),
    "fault": ("panel", "row"),
    "unreachable": ("ground",),
    "panel": ("accent", "critical"),
}
CELLS: Final = ("hashing", "idle", "paused", "unreachable", "silent", "fault")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_stands_out_from_its_ground(scheme: str) -> None:
    colours = SCHEMES[scheme]
    low = [
        (text, ground, round(contrast(colours[text], colours[ground]), 2))
        for text, grounds in TEXTS.items()
        for ground in grounds
        if contrast(colours[text], colours[ground]) < 4.5
    ]
    assert low == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_cell_of_the_map_stands_out_from_the_page(scheme: str) -> None:
    colours = SCHEMES[scheme]
    assert [cell for cell in CELLS if contrast(colours[cell], colours["ground"]) < 3] == []


def test_motion_is_only_for_those_who_do_not_mind_it() -> None:
    calm = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", CSS, flags=re.DOTALL)
    assert "animation" in CSS
    assert "animation" not in calm
    assert "transition" not in calm
