"""The language of a page: the first of the browser's that there is; English otherwise. No cookie is needed for it."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from backend.notify.tongue import Tongue, known

_ONE: Final = re.compile(r"\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\s*(?:;\s*q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?))?\s*")
_MOST: Final = 20
VARY: Final = {"Vary": "Accept-Language"}


def spoken(request: web.Request) -> Tongue:
    """Of a request."""
    return Tongue(preferred(request.headers.get("Accept-Language", "")))


def preferred(accepted: str) -> str:
    """`zh-CN,zh;q=0.9,en;q=0.8` → `zh-CN`; what cannot be read says nothing."""
    wanted = []
    for place, part in enumerate(accepted.split(",")[:_MOST]):
        if (match := _ONE.fullmatch(part)) and (weight := float(match[2] or 1)) > 0:
            wanted.append((-weight, place, match[1]))
    return next((name for _, _, name in sorted(wanted) if name.partition("-")[0].lower() in known()), "en")
