"""Numbers as people read them: three or four figures, the unit that fits, a narrow space between.

Each function takes the unit in its name and gives `–` for a value that is missing, so that missing never
looks like 0.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

MISSING: Final = "–"
_SPACE: Final = "\u202f"  # narrow, and no line breaks there

_HASHRATE_UNITS: Final = ((1e6, "EH/s"), (1e3, "PH/s"), (1.0, "TH/s"), (1e-3, "GH/s"))
_POWER_UNITS: Final = ((1e6, "MW"), (1e3, "kW"), (1.0, "W"))


def hashrate(value_ths: float | None) -> str:
    """`6.42 PH/s`, `98.4 TH/s`, `485 GH/s`."""
    return _scaled(value_ths, _HASHRATE_UNITS, zero_unit="TH/s")


def power(value_w: float | None) -> str:
    """`1.24 MW`, `203 kW`, `15.2 W`."""
    return _scaled(value_w, _POWER_UNITS, zero_unit="W")


def efficiency(value_j_per_th: float | None) -> str:
    """`29.5 J/TH`."""
    return MISSING if value_j_per_th is None else f"{_figures(value_j_per_th)}{_SPACE}J/TH"


def temperature(value_c: float | None) -> str:
    """`78 °C`: sensors are not better than a degree."""
    return MISSING if value_c is None else f"{value_c:.0f}{_SPACE}°C"


def share(part: float | None, whole: float | None) -> str:
    """`97 %`; below 10 % with one decimal, because rejects of 0.4 % and 0.6 % differ."""
    if part is None or not whole:
        return MISSING
    percent = 100 * part / whole
    text = f"{percent:.1f}" if 0 < percent < 9.95 else f"{percent:.0f}"
    return f"{text}{_SPACE}%"


def speed(value_rpm: float | None) -> str:
    """`5,820 rpm`."""
    return MISSING if value_rpm is None else f"{value_rpm:,.0f}{_SPACE}rpm"


def duration(value: timedelta | None) -> str:
    """The two largest units: `12 s`, `4 min`, `3 h 12 min`, `41 d 2 h`."""
    if value is None:
        return MISSING
    seconds = max(0, int(value.total_seconds()))
    if seconds < 60:
        return f"{seconds}{_SPACE}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours < 1:
        return f"{minutes}{_SPACE}min"
    if days < 1:
        return _pair(hours, "h", minutes % 60, "min")
    return _pair(days, "d", hours % 24, "h")


def uptime(value_s: float | None) -> str:
    """A duration that a machine gives in seconds."""
    return duration(None if value_s is None else timedelta(seconds=value_s))


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    text = f"{large:,}{_SPACE}{large_unit}"
    return f"{text} {small}{_SPACE}{small_unit}" if small else text


def _scaled(value: float | None, units: tuple[tuple[float, str], ...], *, zero_unit: str) -> str:
    if value is None:
        return MISSING
    if value == 0:
        return f"0{_SPACE}{zero_unit}"
    for factor, unit in units:
        if value / factor >= 0.9995:  # 999.6 would read "1,000": it belongs to the next unit
            return f"{_figures(value / factor)}{_SPACE}{unit}"
    factor, unit = units[-1]
    return f"{_figures(value / factor)}{_SPACE}{unit}"


def _figures(value: float) -> str:
    """Three figures: 6.42, 98.4, 485; more before the point when there are more."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
