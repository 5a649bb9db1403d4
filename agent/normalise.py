"""Numbers and names as machines and libraries write them, brought to our units and to one spelling.

Every function gives None for what is no value: NaN, text, an empty string, the −273 °C of an absent sensor. A
missing value is never 0, and a 0 that a machine means (a fan that stands still) stays 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_WRITTEN_AS: Final = (int, float, str)
_MOST: Final = 2**53
"""No count that a machine means is larger; absurd ones only cost memory."""
_COLDEST_C: Final = -60.0
_HOTTEST_C: Final = 250.0
_MILLIVOLTS_ABOVE: Final = 1_000.0
"""No board runs at more than 1,000 V: such a number is in millivolts (pyasic's BitAxe says 5175)."""


def number(value: object) -> float | None:
    """A finite float of a number or of text that is one; truth values are none."""
    if type(value) is float:  # nearly all are
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool) or not isinstance(value, _WRITTEN_AS):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):  # an int beyond any float
        return None
    return found if math.isfinite(found) else None


def positive(value: object) -> float | None:
    """A number above 0: for what machines report as 0 when they do not know it (nominal hashrate, frequency)."""
    found = number(value)
    return found if found is not None and found > 0 else None


def count(value: object) -> int | None:
    """A whole number from 0 up; fractions are rounded (the libraries give 4281.999999 rpm)."""
    found = number(value)
    return round(found) if found is not None and 0 <= found <= _MOST else None


def air_c(value: object) -> float | None:
    """Temperature of air or fluid, °C."""
    found = number(value)
    return found if found is not None and _COLDEST_C <= found <= _HOTTEST_C else None


def chip_c(value: object) -> float | None:
    """Temperature of a board or chip, °C. Exactly 0 is what firmware says of a sensor that is not there."""
    found = air_c(value)
    return found if found else None


def hottest(values: Iterable[object]) -> float | None:
    """The highest of several sensors of one board, °C."""
    return max((found for value in values if (found := chip_c(value)) is not None), default=None)


def board_c(value: object, make: str | None) -> float | None:
    """Temperature of a board's own sensor, °C. An Avalon has none: the libraries give its chips' mean or maximum."""
    return None if make == "Avalon" else chip_c(value)


def total(parts: Iterable[object]) -> int | None:
    """The sum of the counts of several pools. Firmware that counts for the whole machine gives the same number at
    each pool; that is not added up."""
    known = [found for value in parts if (found := count(value)) is not None]
    if not known:
        return None
    return known[0] if len(set(known)) == 1 else sum(known)


def ths(rate: object, hashes_per_unit: object) -> float | None:
    """A hashrate in TH/s; the unit comes as hashes a second (GH/s is 1e9)."""
    found, unit = number(rate), positive(hashes_per_unit)
    if found is None or unit is None or found < 0:
        return None
    rate_ths = found * unit / 1e12
    return rate_ths if math.isfinite(rate_ths) else None


def volts(value: object) -> float | None:
    found = positive(value)
    if found is None:
        return None
    return found / 1_000 if found > _MILLIVOLTS_ABOVE else found


def text(value: object) -> str | None:
    """Text without the blanks around it; None when nothing is left."""
    return (str(value).strip() or None) if isinstance(value, str | int) and not isinstance(value, bool) else None


_MAKES: Final = {
    "antminer": "Antminer",
    "auradine": "Auradine",
    "avalon": "Avalon",
    "avalonminer": "Avalon",
    "bitaxe": "BitAxe",
    "bitmain": "Antminer",
    "braiins": "Braiins",
    "canaan": "Avalon",
    "elphapex": "Elphapex",
    "epic": "ePIC",
    "fluminer": "Fluminer",
    "forgeaxe": "ForgeAxe",
    "futurebit": "FutureBit",
    "goldshell": "Goldshell",
    "hammer": "Hammer",
    "iceriver": "IceRiver",
    "innosilicon": "Innosilicon",
    "luckyminer": "LuckyMiner",
    "microbt": "Whatsminer",
    "nerdaxe": "NerdAxe",
    "proto": "Proto",
    "sealminer": "SealMiner",
    "volcminer": "VolcMiner",
    "whatsminer": "Whatsminer",
}


_MODEL_WORDS: Final = "Pro|XP|Hydro|Hyd|Immersion|Imm|Dual|Home|Mini"


def slug(name: str) -> str:
    """Lower-case letters and digits only: what makes and firmwares are compared by."""
    return re.sub("[^a-z0-9]", "", name.lower())


def make_name(name: str | None) -> str | None:
    """One spelling for a maker, whichever library says it."""
    found = text(name)
    return _MAKES.get(slug(found), found) if found else None


def model_name(name: str | None, make: str | None) -> str | None:
    """A model without its maker's name, its parts apart: `S19Pro` and `Antminer S19 Pro` are `S19 Pro`, and
    `M30SPlusPlusVH50` is `M30S++ VH50`."""
    found = text(name)
    if found is None:
        return None
    for maker in sorted((key for key, value in _MAKES.items() if value == make), key=len, reverse=True):
        if found.lower().startswith(maker) and len(found) > len(maker):
            found = found[len(maker) :].strip(" -_")
            break
    found = re.sub(r"(?<=\S)Plus(?![a-z])", "+", found)
    found = re.sub(rf"(?<=[^\s(])(?=({_MODEL_WORDS})(?![a-z]))", " ", found)
    return re.sub(r"(?<=[0-9A-Z+])_?(?=V[A-Z]?\d{1,3}$)", " ", found)


@lru_cache(maxsize=1_024)
def fault_code(make: str | None, code: object) -> str:
    """`vendor:code`. A fault without a code of its own is `uncoded`: the vendor's text names addresses and pools."""
    vendor = slug(make or "")[:24] or "unknown"
    found = re.sub("[^A-Za-z0-9_.-]", "", str(code or ""))[:24]
    return f"{vendor}:{found}" if found and found != "0" else f"{vendor}:uncoded"
