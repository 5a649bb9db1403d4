"""HTTP digest authentication as lighttpd on a miner's control board does it: MD5, qop=auth, nonces that expire.

The nonce is really checked: it carries its time and a signature of ours, so no table of given-out nonces is
needed for ten thousand machines.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final
from urllib.request import parse_http_list, parse_keqv_list

from agent.simulator.machine import Login, WebRequest

NONCE_LIVES_S: Final = 300
_KEY = secrets.token_bytes(16)


def challenge(login: Login, now: datetime) -> str:
    """The value of a `WWW-Authenticate` header."""
    return f'Digest realm="{login.realm}", nonce="{_nonce(int(now.timestamp()))}", qop="auth"'


def is_authorised(login: Login, request: WebRequest, now: datetime) -> bool:
    """Whether the request proves to know the password, for this method and page, with a nonce of ours."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "digest":
        return False
    try:
        given = parse_keqv_list(parse_http_list(rest))
    except ValueError:
        return False
    if given.get("username") != login.user or given.get("uri") != request.target or given.get("realm") != login.realm:
        return False
    if not _is_ours(given.get("nonce", ""), now):
        return False
    expected = _response(login, request.method, given)
    return hmac.compare_digest(expected.encode(), given.get("response", "").encode())


def _response(login: Login, method: str, given: dict[str, str]) -> str:
    who = _md5(f"{login.user}:{login.realm}:{login.password}")
    what = _md5(f"{method}:{given['uri']}")
    if "qop" not in given:  # RFC 2069, as old clients send it
        return _md5(f"{who}:{given['nonce']}:{what}")
    return _md5(f"{who}:{given['nonce']}:{given.get('nc', '')}:{given.get('cnonce', '')}:{given['qop']}:{what}")


def _nonce(at: int) -> str:
    signature = hmac.new(_KEY, b"%d" % at, hashlib.sha256).hexdigest()[:24]
    return f"{at:x}-{signature}"


def _is_ours(nonce: str, now: datetime) -> bool:
    stamp, _, _ = nonce.partition("-")
    try:
        at = int(stamp, 16)
    except ValueError:
        return False
    is_fresh = 0 <= int(now.timestamp()) - at <= NONCE_LIVES_S
    return is_fresh and hmac.compare_digest(_nonce(at).encode(), nonce.encode())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
