"""JSON web tokens by which a gateway signs what it says: HS256 and nothing else (RFC 7519).

The algorithm is ours to choose, never the token's: one that names another, or none at all, is refused.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Any, Final

FRESH_S: Final = 300
"""How old a token may be, and how far ahead of us its maker's clock."""


def claims(secret: str, token: str, *, now: datetime) -> dict[str, Any] | None:
    """What a token says; None for one that was not signed with this secret, or not lately."""
    head, _, signature = token.rpartition(".")
    header, _, body = head.partition(".")
    made = hmac.digest(secret.encode(), head.encode(), "sha256")
    if not hmac.compare_digest(made, _decoded(signature)) or _object(header).get("alg") != "HS256":
        return None
    said = _object(body)
    issued, expires = said.get("iat"), said.get("exp", now.timestamp())
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return None
    is_fresh = abs(now.timestamp() - issued) <= FRESH_S and now.timestamp() <= expires
    return said if is_fresh else None


def _object(part: str) -> dict[str, Any]:
    try:
        made = json.loads(_decoded(part))
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


def _decoded(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return b""
