"""Names that people give: of accounts, sites and tokens."""

from __future__ import annotations

import re
from typing import Final

from backend.registry.errors import Invalid

MOST: Final = 200
_ID: Final = re.compile(r"(acc|sit|mem|tok)_[0-9a-z]{16}")


def name(value: str) -> str:
    """The name without spaces around it. Raises `Invalid` for one that cannot be shown or looks like an id."""
    value = value.strip()
    if not 1 <= len(value) <= MOST:
        raise Invalid(f"a name has 1 to {MOST} characters")
    if not value.isprintable():
        raise Invalid("a name has no line breaks or control characters")
    if _ID.fullmatch(value):
        raise Invalid("a name must not look like an id")
    return value
